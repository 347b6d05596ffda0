"""A server by URL: the mock one in its own process, and small real ones that break the protocol in one way each."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.compare.health import Limits, ModelHealth
from fourways.compare.health.asking import Reply
from fourways.compare.health.examination import Examination
from fourways.compare.health.form import form_problems
from fourways.compare.health.server import check_server
from fourways.compare.health.wire import StreamReader, read_plain, usage_problems
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.events import Done, Event, Usage
from fourways.load.mock import MockSettings
from fourways.load.mock.process import running


def check(
    url: str, limits: Limits | None = None, adapters: tuple[str, ...] = (), model: str | None = None
) -> ModelHealth:
    candidate = Candidate("served", url=url, served_model=model, device="")
    examination = Examination("served", url, "openai", lambda _: None)
    return asyncio.run(
        check_server(candidate, adapters, limits or Limits(20, slow_first_ms=1e6, slow_token_ms=1e6), examination)
    )


def codes(health: ModelHealth) -> list[str]:
    return [found.code for found in health.findings]


# -- the mock server: its form is right and its words mean nothing ---------------------------------------------------
def test_a_server_of_the_right_form_whose_words_mean_nothing_is_suspect_and_passes() -> None:
    with running(MockSettings(ttft_ms=1, gap_ms=1, tokens=8)) as server:
        health = check(server.url)
    assert health.verdict == "suspect" and codes(health) == ["answer.senseless", "vision.unmoved"]
    seen = {probe.name: probe.status for probe in health.probes}
    assert {seen[name] for name in ("files", "settings", "weights")} == {"no access"}
    assert {seen[name] for name in ("reach", "plain", "stream", "text", "image", "images", "determinism", "pace")} == {
        "ok"
    }
    assert seen["video"] == "not claimed"


def test_a_slow_server_is_told_by_its_figure_and_an_adapter_without_effect_is_suspect() -> None:
    with running(MockSettings(ttft_ms=30, gap_ms=25, tokens=6, adapters=("invoices",))) as server:
        health = check(server.url, Limits(20, slow_first_ms=20, slow_token_ms=10), ("invoices",), model="mock")
    assert [c for c in codes(health) if c not in ("answer.senseless", "vision.unmoved")] == [
        "slow",
        "slow",
        "adapter.unmoved",
    ]
    assert health.verdict == "suspect"


def test_a_server_that_stalls_is_unanswered_and_not_broken() -> None:
    with running(MockSettings(ttft_ms=5000)) as server:
        health = check(server.url, Limits(timeout_s=0.5))
    assert health.verdict == "unanswered" and codes(health) == ["unanswered"]


def test_a_server_that_is_not_there_is_unreachable() -> None:
    health = check("http://127.0.0.1:9/v1")
    assert codes(health) == ["server.unreachable"] and health.verdict == "broken"


# -- servers that break one thing --------------------------------------------------------------------------------------
Answer = Callable[["Handler", dict[str, Any]], None]
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


class Handler(BaseHTTPRequestHandler):
    answer: Answer

    def do_GET(self) -> None:
        self.send({"object": "list", "data": [{"id": "m"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).answer(self, body)

    def send(self, body: object, status: int = 200, kind: str = "application/json", retry: str | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if retry is not None:
            self.send_header("Retry-After", retry)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


class Quiet(ThreadingHTTPServer):
    """A client that goes away in the middle is what some tests are about."""

    def handle_error(self, *_: object) -> None: ...


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    handler = type("Answering", (Handler,), {"answer": staticmethod(answer)})
    with Quiet(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()


def said(body: dict[str, Any]) -> str:
    """Its reply: it reads a little, so that it makes some sense, and sees which picture it is."""
    asked = json.dumps(body["messages"])
    return "yes, " + ("it is" if "image_url" not in asked else f"picture {zlib.crc32(asked.encode())}")


def plain(body: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": said(body)}, "finish_reason": "stop"}
    return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": dict(USAGE)}


def chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    text, head = said(body), {**HEAD, "object": "chat.completion.chunk"}
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": ""}, None), ({"content": text[:3]}, None), ({"content": text[3:]}, "stop"),
    ]  # fmt: skip
    told = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": end}]} for d, end in deltas]
    return [*told, {**head, "choices": [], "usage": dict(USAGE)}]


def framed(parts: list[dict[str, Any]], end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in parts) + end


def well(self: Handler, body: dict[str, Any]) -> None:
    if body.get("stream"):
        self.send(framed(chunks(body)), kind="text/event-stream")
    else:
        self.send(plain(body))


def bent(change: Callable[[dict[str, Any]], object]) -> Answer:
    """Its replies in one piece are changed."""

    def answer(self: Handler, body: dict[str, Any]) -> None:
        if body.get("stream"):
            return well(self, body)
        whole = plain(body)
        change(whole)
        return self.send(whole)

    return answer


def bent_stream(change: Callable[[list[dict[str, Any]]], object], end: bytes = b"data: [DONE]\n\n") -> Answer:
    def answer(self: Handler, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            return well(self, body)
        parts = chunks(body)
        change(parts)
        return self.send(framed(parts, end), kind="text/event-stream")

    return answer


def refuses(what: str) -> Answer:
    def answer(self: Handler, body: dict[str, Any]) -> None:
        if json.dumps(body["messages"]).count("image_url") // 2 >= (2 if what == "two" else 1):
            return self.send({"error": {"message": "At most so many images may be given"}}, 400)
        return well(self, body)

    return answer


def is_html(self: Handler, body: dict[str, Any]) -> None:
    self.send(b"<html>Welcome to nginx</html>", kind="text/html")


def not_for_you(self: Handler, body: dict[str, Any]) -> None:
    self.send({"error": {"message": "no such key"}}, 401)


def busy(self: Handler, body: dict[str, Any]) -> None:
    self.send({"error": {"message": "the model is loading"}}, 503, retry="0")


def elsewhere(self: Handler, body: dict[str, Any]) -> None:
    self.send(b"", 307)


def thinks(self: Handler, body: dict[str, Any]) -> None:
    """Sixteen tokens do not suffice for its thoughts, which are sent apart."""
    if not body.get("stream"):
        whole = plain(body)
        whole["choices"][0]["message"].update(content=None, reasoning_content="The user asks")
        return self.send(whole)
    parts = chunks(body)
    parts[1]["choices"][0]["delta"] = {"reasoning_content": "The user asks"}
    return self.send(framed(parts), kind="text/event-stream")


def filters_first(self: Handler, body: dict[str, Any]) -> None:
    """As some gateways do: before the first chunk of the reply come the filter's words, in an envelope of its own."""
    if not body.get("stream"):
        return self.send(plain(body))
    first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    return self.send(framed([first, *chunks(body)]), kind="text/event-stream")


def counts_up(self: Handler, body: dict[str, Any], number: list[int] = [0]) -> None:  # noqa: B006  # its memory
    number[0] += 1
    parts = chunks(body)
    parts[1]["choices"][0]["delta"]["content"] += str(number[0])
    self.send(framed(parts), kind="text/event-stream") if body.get("stream") else self.send(plain(body))


BROKEN: list[tuple[str, str, Answer]] = [
    ("plain.format", "no message", bent(lambda whole: whole["choices"][0].pop("message"))),
    ("plain.format", "an invented finish_reason", bent(lambda whole: whole["choices"][0].update(finish_reason="eos"))),
    ("plain.format", "another object", bent(lambda whole: whole.update(object="text_completion"))),
    ("usage.wrong", "a sum that is none", bent(lambda whole: whole["usage"].update(total_tokens=99))),
    ("usage.missing", "no usage", bent(lambda whole: whole.pop("usage"))),
    ("stream.format", "no object", bent_stream(lambda parts: parts[1].pop("object"))),
    ("stream.format", "ids that change", bent_stream(lambda parts: parts[2].update(id="chatcmpl-2"))),
    ("stream.unfinished", "no [DONE]", bent_stream(lambda parts: None, end=b"")),
    ("usage.missing", "no usage in the stream", bent_stream(lambda parts: parts.pop())),
    ("stream.differs", "other words", bent_stream(lambda parts: parts[1]["choices"][0]["delta"].update(content="YES"))),
    ("image.refused", "no pictures", refuses("one")),
    ("images.refused", "one picture only", refuses("two")),
    ("server.refused", "a key is wanted", not_for_you),
    ("server.busy", "no room now", busy),
    ("stream.format", "it never streams", lambda self, body: self.send(plain(body))),
    ("server.refused", "it sends elsewhere", elsewhere),
    ("plain.format", "no text", bent(lambda whole: whole["choices"][0]["message"].update(content=None))),
]  # fmt: skip


@pytest.mark.parametrize(("code", "how", "answer"), BROKEN, ids=[f"{code}-{how}" for code, how, _ in BROKEN])
def test_a_server_that_breaks_one_thing_gets_that_diagnosis_and_no_other(code: str, how: str, answer: Answer) -> None:
    with served(answer) as url:
        health = check(url)
    assert codes(health) == [code], health


def test_a_server_that_keeps_to_everything_is_well() -> None:
    with served(well) as url:
        assert check(url).verdict == "well"


def test_a_server_that_is_busy_is_unanswered_and_not_broken() -> None:
    with served(busy) as url:
        assert check(url).verdict == "unanswered"


def test_a_server_that_becomes_busy_is_not_called_broken_for_what_it_no_longer_takes() -> None:
    def tires(self: Handler, body: dict[str, Any]) -> None:
        busy(self, body) if "image_url" in json.dumps(body["messages"]) else well(self, body)

    with served(tires) as url:
        health = check(url)
    assert health.verdict == "unanswered" and set(codes(health)) == {"server.busy"}


def test_a_server_whose_model_thinks_aloud_is_not_broken() -> None:
    with served(thinks) as url:
        health = check(url)
    assert health.verdict == "suspect" and "plain.format" not in codes(health)


def test_what_a_gateway_sends_before_a_reply_breaks_no_stream() -> None:
    with served(filters_first) as url:
        assert check(url).verdict == "well"


def test_a_server_that_serves_nothing_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.send({"object": "list", "data": []}))
    with served(well) as url:
        health = check(url)
    assert codes(health) == ["server.unreachable"] and "0 models" in health.findings[0].message


def test_a_web_page_in_place_of_a_server_is_no_chat_api() -> None:
    with served(is_html) as url:
        health = check(url)
    assert health.verdict == "broken" and len(codes(health)) == 1


def test_replies_that_change_are_unsteady() -> None:
    with served(counts_up) as url:
        assert "answer.unsteady" in codes(check(url))


def test_several_served_models_are_the_users_to_choose_from() -> None:
    with (
        running(MockSettings(ttft_ms=1, gap_ms=1, adapters=("a", "b"))) as server,
        pytest.raises(UserError, match="3 models"),
    ):
        check(server.url)


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")

    def repeats(self: Handler, body: dict[str, Any]) -> None:
        self.send({"error": {"message": f"bad key {self.headers['Authorization']}"}}, 401)

    with served(repeats) as url:
        health = check(url)
    assert codes(health) == ["server.refused"] and "sk-very-secret" not in str(health)


def test_a_key_that_a_reply_repeats_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")

    def repeats(self: Handler, body: dict[str, Any]) -> None:
        whole = plain(body)
        whole["object"] = whole["choices"][0]["message"]["content"] = self.headers["Authorization"]
        parts = chunks(body)
        parts[1]["choices"][0]["delta"]["content"] = self.headers["Authorization"]
        self.send(framed(parts), kind="text/event-stream") if body.get("stream") else self.send(whole)

    with served(repeats) as url:
        health = check(url)
    assert "plain.format" in codes(health) and "sk-very-secret" not in str(health) and "***" in str(health)


# -- counts and form ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, "no count under total_tokens"),
        ({"prompt_tokens": 5, "completion_tokens": True, "total_tokens": 6}, "no count under completion_tokens"),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 8}, "8 together"),
        ({"prompt_tokens": 0, "completion_tokens": 2, "total_tokens": 2}, "0 tokens of a prompt"),
        ({"prompt_tokens": 5, "completion_tokens": 99, "total_tokens": 104}, "of at most 16"),
    ],
)
def test_counts_that_cannot_be_are_told(usage: dict[str, Any], told: str) -> None:
    (problem,) = usage_problems(usage, 16)
    assert told in problem


WELL = (Event("yes", (5, 6), 1), Done("stop", Usage(3, 0, 2), 2, mean_logprob=-0.5))
FORMS: list[tuple[tuple[Event | Done, ...], str]] = [
    ((*WELL, WELL[1]), "2 ends in the stream"),
    (WELL[::-1], "not one as its last item"),
    ((WELL[0], Done("rank", Usage(3, 0, 2), 2)), "it ended by 'rank'"),
    ((WELL[0], Done("stop", Usage(3, 0, 2), 0)), "backwards"),
    ((WELL[0], Done("stop", Usage(3, 0, 2), 2, mean_logprob=float("nan"))), "mean log-probability"),
    ((WELL[0], Done("stop", Usage(3, 0, 2), 2, mean_logprob=0.5)), "mean log-probability"),
    ((WELL[0], Done("stop", Usage(3, 0, 7), 2)), "usage counts 7 tokens"),
    ((Event("yes", tuple(range(20)), 1), Done("stop", Usage(3, 0, 20), 2)), "20 tokens where at most 16"),
    ((WELL[0], Done("length", Usage(3, 0, 2), 2)), "ended by its length after 2 of 16"),
]


@pytest.mark.parametrize(("items", "told"), FORMS, ids=[told for _, told in FORMS])
def test_a_reply_that_breaks_the_engines_contract_is_told(items: tuple[Event | Done, ...], told: str) -> None:
    (problem,) = form_problems(Reply(items, 0), 16, None)
    assert told in problem
    assert not list(form_problems(Reply(WELL, 0), 16, None))


# -- readers -----------------------------------------------------------------------------------------------------------
@given(st.binary(max_size=400), st.text(max_size=20))
def test_any_body_is_read_without_an_error_of_ours(body: bytes, kind: str) -> None:
    read_plain(200, kind, body)
    reader = StreamReader(kind)
    reader.feed(body)
    reader.read()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "delta", "message", "usage", "content", "id", "object", "finish_reason"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_any_json_is_read_without_an_error_of_ours(value: object) -> None:
    body = json.dumps(value).encode()
    read_plain(200, "application/json", body)
    reader = StreamReader("text/event-stream")
    reader.feed(b"data: " + body + b"\n\n")
    assert not reader.read().ended


def test_a_stream_that_is_cut_inside_an_event_is_told() -> None:
    whole = framed(chunks({"messages": []}))
    reader = StreamReader("text/event-stream")
    reader.feed(whole[: len(whole) - 30])
    read = reader.read()
    assert not read.ended and any("not ended by an empty line" in one for one in read.problems)


def test_time_limits_hold() -> None:
    def stalls(self: Handler, body: dict[str, Any]) -> None:
        if "image_url" in json.dumps(body["messages"]):
            time.sleep(1.0)
        well(self, body)

    with served(stalls) as url:
        health = check(url, Limits(0.4, slow_first_ms=1e6, slow_token_ms=1e6))
    assert "unanswered" in codes(health) and not [found for found in health.findings if found.grade == "broken"]
