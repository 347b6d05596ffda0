"""The mock server as clients see it: OpenAI's protocol with vLLM's fields, deadlines kept, and a log that agrees."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from PIL import Image

from fourways.cli.main import app
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.errors import EngineError, UserError
from fourways.core.events import Done, Event
from fourways.core.request import Generate, Plan, Request
from fourways.engines.openai import open_openai_engine
from fourways.load.mock import MockSettings, Running, Served, read_log, running, serve

QUICK = MockSettings(ttft_ms=2, gap_ms=1, tokens=8, adapters=("invoices",))


@pytest.fixture(scope="module")
def quick() -> Iterator[Running]:
    with running(QUICK) as server:
        yield server


def ask(**fields: object) -> dict[str, object]:
    return {"model": "mock", "messages": [{"role": "user", "content": "hello"}], **fields}


def post(server: Running, **fields: object) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/chat/completions", json=ask(**fields), trust_env=False, timeout=30)


def events(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [msgspec.json.decode(line) for line in lines[:-1]]


# -- the protocol ----------------------------------------------------------------------------------------------------
def test_a_stream_has_a_role_its_tokens_a_reason_and_its_usage(quick: Running) -> None:
    reply = post(quick, stream=True, max_tokens=4, ignore_eos=True, stream_options={"include_usage": True})
    chunks = events(reply)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta["content"] for delta in deltas[1:]) == "the of and a"
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_no_usage_comes_unasked_and_running_usage_counts_up(quick: Running) -> None:
    assert all("usage" not in chunk for chunk in events(post(quick, stream=True, max_tokens=2)))
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = events(post(quick, stream=True, max_tokens=3, stream_options=options))
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [1, 1, 2, 3, 3]


def test_a_whole_reply_says_the_same_as_a_stream(quick: Running) -> None:
    whole = post(quick, max_tokens=5, ignore_eos=True).json()
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "the of and a in"}
    assert whole["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("fields", "billed", "reason", "stop_reason"),
    [
        ({}, 9, "stop", None),  # eight by itself, and the end token
        ({"max_tokens": 8}, 8, "length", None),
        ({"max_tokens": 20}, 9, "stop", None),
        ({"max_tokens": 20, "ignore_eos": True}, 20, "length", None),
        ({"max_tokens": 20, "min_tokens": 12}, 13, "stop", None),
        ({"max_completion_tokens": 3, "max_tokens": 20}, 3, "length", None),
        ({"stop": "and"}, 3, "stop", "and"),
        ({"stop": ["a in", "never"]}, 5, "stop", "a in"),
        ({"stop": "and", "min_tokens": 6}, 9, "stop", None),
    ],
)
def test_lengths_are_kept_as_vllm_keeps_them(
    quick: Running, fields: dict[str, object], billed: int, reason: str, stop_reason: str | None
) -> None:
    reply = post(quick, **fields).json()
    choice = reply["choices"][0]
    assert (reply["usage"]["completion_tokens"], choice["finish_reason"], choice["stop_reason"]) == (
        billed, reason, stop_reason,
    )  # fmt: skip


def test_ids_and_log_probabilities_come_when_asked_for(quick: Running) -> None:
    choice = post(quick, logprobs=True, return_token_ids=True).json()["choices"][0]
    assert len(choice["token_ids"]) == 9  # vLLM shows the end token too
    assert [entry["token"] for entry in choice["logprobs"]["content"]][:2] == ["the", " of"]
    assert all(entry["logprob"] < 0 for entry in choice["logprobs"]["content"])
    assert "token_ids" not in post(quick).json()["choices"][0]


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"model": "other"}, 404, "does not exist"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "hello"}, 400, "messages"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 3, "min_tokens": 4}, 400, "min_tokens"),
        ({"max_tokens": 10**6, "ignore_eos": True}, 400, "context"),
        ({"n": 2}, 400, "n must be 1"),
        ({"stop": "x" * 257}, 400, "stop"),
        ({"stop": ["x"] * 17}, 400, "stop"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openai_s_form(
    quick: Running, fields: dict[str, object], status: int, word: str
) -> None:
    reply = post(quick, **fields)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert word in error["message"]
    assert error["code"] == status


def test_the_other_pages_answer(quick: Running) -> None:
    with httpx.Client(base_url=quick.url, trust_env=False) as client:
        names = [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert names == ["mock", "invoices"]
        assert client.get("/version").json()["version"].startswith("fourways-mock-")
        assert client.get("/health").status_code == 200
        assert client.get("/nothing").status_code == 404
        assert client.delete("/v1/models").status_code == 405
        assert client.get("/v1/chat/completions").status_code == 405
        assert post(quick, model="invoices", max_tokens=1).json()["model"] == "invoices"


def test_requests_on_one_connection_are_answered_in_turn(quick: Running) -> None:
    async def pipelined() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(quick.url.rpartition(":")[2]))
        body = msgspec.json.encode(ask(max_tokens=2))
        chat = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        writer.write(chat + b"GET /version HTTP/1.1\r\n\r\n" + b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        return await reader.read()

    said = asyncio.run(pipelined())
    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert said.index(b"the of") < said.index(b"fourways-mock-")


def test_a_body_nested_without_end_is_refused_like_any_other(quick: Running) -> None:
    for body in (b'{"x":' + b"[" * 100_000, b'{"messages":[{"role":"user","content":"\xff"}]}'):
        reply = httpx.post(f"{quick.url}/v1/chat/completions", content=body, trust_env=False)
        assert reply.status_code == 400 and "cannot be read" in reply.json()["error"]["message"]


def test_what_is_no_http_is_answered_and_hung_up(quick: Running) -> None:
    async def garbage() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(quick.url.rpartition(":")[2]))
        writer.write(b"hello\r\n\r\n")
        return await reader.read()

    assert asyncio.run(garbage()).startswith(b"HTTP/1.1 400 ")


# -- pictures --------------------------------------------------------------------------------------------------------
def picture(width: int, height: int, form: str) -> dict[str, object]:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, form)
    data = base64.b64encode(out.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/{form.lower()};base64,{data}"}}


def with_parts(*parts: dict[str, object]) -> list[dict[str, object]]:
    return [{"role": "user", "content": [{"type": "text", "text": "look"}, *parts]}]


def test_pictures_cost_a_fixed_number_of_tokens_unless_a_family_is_named(quick: Running) -> None:
    parts = [picture(8, 8, "PNG"), {"type": "image_url", "image_url": {"url": "https://example.org/never-fetched.png"}}]
    usage = post(quick, messages=with_parts(*parts)).json()["usage"]
    assert usage["prompt_tokens"] == 1 + 2 * 256
    assert usage["prompt_tokens_details"]["multimodal_tokens"] == {"image": 512}


def test_a_family_bills_by_the_size_in_the_header() -> None:
    expected = {"qwen2.5-vl": 391, "qwen3-vl": 300, "llava-next": 2340, "internvl": 3328}
    for family, tokens in expected.items():  # 640x480, from the table of published counts
        settings = MockSettings(ttft_ms=0, gap_ms=0, billing=family)  # type: ignore[arg-type]  # a str of the Literal
        with running(settings) as server:
            for form in ("PNG", "JPEG", "WEBP"):
                usage = post(server, messages=with_parts(picture(640, 480, form)), max_tokens=1).json()["usage"]
                assert usage["prompt_tokens_details"]["multimodal_tokens"] == {"image": tokens}, (family, form)
            if family == "qwen2.5-vl":
                remote: dict[str, object] = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
                broken: dict[str, object] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
                foreign: dict[str, object] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,ÄÖ=="}}
                for part, word in ((remote, "fetches nothing"), (broken, "format"), (foreign, "base64")):
                    reply = post(server, messages=with_parts(part))
                    assert reply.status_code == 400
                    assert word in reply.json()["error"]["message"]


# -- time ------------------------------------------------------------------------------------------------------------
async def ask_all(server: Running, count: int, **fields: object) -> list[httpx.Response | Exception]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
        url = f"{server.url}/v1/chat/completions"
        asked = [client.post(url, json=ask(stream=True, **fields)) for _ in range(count)]
        return await asyncio.gather(*asked, return_exceptions=True)  # type: ignore[return-value]  # no BaseException


def median_late_ms(log: list[Served]) -> float:
    late = sorted(sent - due for one in log for sent, due in zip(one.sent_ns, one.due_ns, strict=True))
    return late[len(late) // 2] / 1e6


def test_every_token_is_sent_after_its_deadline_and_soon_after() -> None:
    with running(MockSettings(ttft_ms=30, gap_ms=5, tokens=20)) as server:
        asyncio.run(ask_all(server, 16))
        log = server.log()
    assert len(log) == 16
    for one in log:
        assert one.started_ns == one.arrival_ns
        assert one.due_ns == [one.arrival_ns + (30 + 5 * k) * 1_000_000 for k in range(20)]
        assert all(sent >= due for sent, due in zip(one.sent_ns, one.due_ns, strict=True))
    assert median_late_ms(log) < 10  # under a tenth of a millisecond on an idle machine


def test_slots_are_taken_in_the_order_of_arrival_and_handed_on_at_the_deadline() -> None:
    with running(MockSettings(ttft_ms=20, gap_ms=5, tokens=5, slots=3)) as server:
        asyncio.run(ask_all(server, 12))
        log = sorted(server.log(), key=lambda one: one.number)
    starts = [one.started_ns or 0 for one in log]
    assert starts == sorted(starts)
    for one, three_before in zip(log[3:], log, strict=False):
        assert one.started_ns == three_before.due_ns[-1]  # no time is lost between two, so capacity is slots / e2e
    assert starts[11] - starts[2] == 3 * 40 * 1_000_000


def test_a_stall_silences_the_whole_server_and_its_work() -> None:
    settings = MockSettings(ttft_ms=40, gap_ms=20, tokens=10, stalls=((0.1, 0.5),))
    with running(settings) as server:
        asyncio.run(ask_all(server, 4))
        log = server.log()
    first = min(one.arrival_ns for one in log)
    for one in log:
        assert not any(first + 100e6 <= due < first + 600e6 for due in one.due_ns)
        gaps = [(b - a) / 1e6 for a, b in pairwise(one.due_ns)]
        assert sorted(gaps)[-1] == pytest.approx(520)
        assert sorted(gaps)[-2] == pytest.approx(20)


def test_the_first_requests_of_a_slow_start_take_their_factor_longer() -> None:
    with running(MockSettings(ttft_ms=5, gap_ms=1, tokens=4, slow_requests=2, slow_factor=3)) as server:
        for _ in range(4):
            post(server, stream=True)
        waits = [one.due_ns[0] - one.arrival_ns for one in server.log()]
    assert waits == [15_000_000, 15_000_000, 5_000_000, 5_000_000]


def test_one_seed_gives_one_behaviour() -> None:
    settings = MockSettings(
        ttft_ms=4, gap_ms=1, tokens=8, jitter="lognormal", spread=0.5, error_rate=0.3, error_statuses=(429, 503),
        break_rate=0.2, seed=11,
    )  # fmt: skip
    seen = []
    for _ in range(2):
        with running(settings) as server:
            replies = [_outcome(server) for _ in range(20)]
            log = sorted(server.log(), key=lambda one: one.number)
            waits = [tuple(due - one.arrival_ns for due in one.due_ns) for one in log]
            seen.append((replies, waits, [(one.outcome, one.status) for one in log]))
    assert seen[0] == seen[1]
    assert {"refused", "broken", "ok"} == {outcome for outcome, _ in seen[0][2]}
    assert {429, 503} <= set(seen[0][0])


def _outcome(server: Running) -> object:
    """The status, or that the connection broke."""
    try:
        return post(server, stream=True).status_code
    except httpx.TransportError:
        return "broken"


def test_a_client_that_leaves_frees_its_slot_and_is_logged() -> None:
    with running(MockSettings(ttft_ms=10, gap_ms=50, tokens=100, slots=1)) as server:
        with httpx.Client(trust_env=False) as client:
            with client.stream("POST", f"{server.url}/v1/chat/completions", json=ask(stream=True)) as reply:
                next(reply.iter_bytes())
            started = time.perf_counter()
            assert post(server, max_tokens=1).status_code == 200
            assert time.perf_counter() - started < 4  # of the five seconds that the first would have taken
        log = server.log()
    assert [one.outcome for one in log] == ["left", "ok"]


# -- the engine, and the process ---------------------------------------------------------------------------------------
async def test_the_project_s_own_engine_reads_it(quick: Running) -> None:
    engine = await open_openai_engine(Candidate("mock", url=f"{quick.url}/v1", served_model="mock"))
    try:
        request = Request("1", Conversation.ask("hello"), Plan("mock"), Generate(6, min_tokens=6, ignore_eos=True))
        items = [item async for item in engine.stream(request)]
    finally:
        await engine.close()
    done = items[-1]
    assert isinstance(done, Done) and done.error is None and done.finish_reason == "length"
    assert done.usage.completion_tokens == 6 and done.mean_logprob is not None
    assert "".join(item.text for item in items if isinstance(item, Event)) == "the of and a in to"


def test_the_server_dies_with_its_parent() -> None:
    code = (
        "import os, signal\n"
        "from fourways.load.mock import running\n"
        "with running() as server:\n"
        "    print(server.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert parent.returncode == -signal.SIGKILL
    pid, until = int(parent.stdout), time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "the server outlived its parent"
        time.sleep(0.05)


def test_the_command_names_its_address_and_sums_up_when_it_is_stopped() -> None:
    command = [sys.executable, "-c", "from fourways.cli import main; main()", "mock", "--port", "0", "--slots", "2"]
    with subprocess.Popen(
        [*command, "--ttft", "0", "--gap", "0"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stderr is not None and child.stdout is not None
        url = child.stderr.readline().decode().split("/v1")[0]
        assert httpx.post(f"{url}/v1/chat/completions", json=ask(max_tokens=3, stream=True), trust_env=False).is_success
        os.kill(child.pid, signal.SIGINT)
        summary = child.stdout.read().decode()
        assert child.wait(20) == 0
    assert summary.startswith("1 requests, 3 sends: ")
    assert " at worst" in summary


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_times_have_units_and_the_log_is_whole_when_it_is_stopped_amid_answers(which: int, tmp_path: Path) -> None:
    log = tmp_path / "served.jsonl"
    command = [
        sys.executable, "-c", "from fourways.cli import main; main()", "mock", "--port", "0", "--ttft", "0.002s",
        "--gap", "20s", "--stall", "900s:500ms", "--slow-start", "500ms:2", "--slots", "1", "--log", str(log),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stderr is not None and child.stdout is not None
        said = child.stderr.readline().decode()
        assert "ttft 2 ms, gap 20000 ms" in said
        url = said.split("/v1")[0]
        assert httpx.post(f"{url}/v1/chat/completions", json=ask(max_tokens=1), trust_env=False).is_success
        with httpx.Client(trust_env=False) as one, httpx.Client(trust_env=False) as two:
            long = ask(stream=True, max_tokens=4, ignore_eos=True)
            with one.stream("POST", f"{url}/v1/chat/completions", json=long) as first:
                pieces = first.iter_bytes()  # held: dropping it would hang up
                next(pieces)
                with two.stream("POST", f"{url}/v1/chat/completions", json=long):
                    os.kill(child.pid, which)
                    summary = child.stdout.read().decode()
        assert child.wait(20) == 0
    ended = read_log(log)
    assert [(one.number, one.outcome) for one in ended] == [(0, "ok"), (1, "stopped"), (2, "stopped")]
    assert [len(one.sent_ns) for one in ended] == [1, 1, 0] and ended[2].started_ns is None
    assert summary.startswith("3 requests (2 unfinished at the end), 2 sends")


@pytest.mark.parametrize(
    ("option", "word", "says"),
    [
        ("--ttft", "-5", "no time"), ("--ttft", "5 min", "no time"), ("--gap", "nan", "no time"),
        ("--stall", "10", "no time"), ("--slow-start", "1.5:3", "whole number"), ("--slow-start", "inf:3", "whole"),
        ("--errors", "0.1:nan", "whole number"), ("--errors", "0.1:500.7", "whole number"), ("--errors", "x", "number"),
        ("--jitter", "uniform", "cannot be read"),
    ],
)  # fmt: skip
def test_what_an_option_cannot_mean_is_said_in_one_line(option: str, word: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        app(["mock", f"{option}={word}"], standalone_mode=False)
    assert option in caught.value.message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full, a disk that is always full")
def test_a_log_that_could_not_be_written_to_its_end_is_said_and_the_server_goes_on() -> None:
    async def serve_one() -> None:
        url: list[str] = []

        async def until() -> None:
            async with httpx.AsyncClient(trust_env=False) as client:
                for _ in range(3):
                    assert (await client.post(f"{url[0]}/v1/chat/completions", json=ask(max_tokens=1))).is_success

        await serve(MockSettings(ttft_ms=0, gap_ms=0), log=Path("/dev/full"), ready=url.append, until=until)

    with pytest.raises(EngineError, match="not whole"):
        asyncio.run(serve_one())


def test_neither_the_server_nor_the_engine_that_asks_it_loads_what_runs_models() -> None:
    code = (
        "import sys, fourways.cli.mock, fourways.load.mock.serving, fourways.engines.openai.engine\n"
        "sys.exit(bool({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_taken_port_is_said(quick: Running) -> None:
    port = quick.url.rpartition(":")[2]
    command = [sys.executable, "-c", "from fourways.cli import main; main()", "mock", "--port", port]
    tried = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert tried.returncode == 2
    assert b"cannot be listened on" in tried.stderr and b"--port 0" in tried.stderr


def test_a_client_of_http_1_0_gets_its_stream_to_the_end_of_the_connection(quick: Running) -> None:
    async def old() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(quick.url.rpartition(":")[2]))
        body = msgspec.json.encode(ask(max_tokens=2, stream=True))
        writer.write(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return await reader.read()

    said = asyncio.run(old())
    assert b"Transfer-Encoding" not in said
    assert said.endswith(b"data: [DONE]\n\n")
