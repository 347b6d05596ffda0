"""The openai engine against a real HTTP server that behaves well, badly, or not at all."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation, Image, Text, Turn
from fourways.core.errors import CapabilityError, EngineError, MediaError, UserError
from fourways.core.events import Done, Event
from fourways.core.request import Generate, Plan, Rank, Request, VisualPath
from fourways.engines.openai import OpenAIEngine, open_openai_engine
from fourways.engines.openai.address import find_address
from fourways.media import read_image


def sibling(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    if not hasattr(module, "ScriptedServer"):
        spec.loader.exec_module(module)
    return module


web = sibling("scripted_server")
PLAN = Plan("c")


def candidate(url: str, **more: Any) -> Candidate:
    return Candidate("c", url=url, **more)


def ask(text: str = "Hi", *visuals: Image, output: Generate | None = None, plan: Plan = PLAN) -> Request:
    return Request("r", Conversation.ask(text, *visuals), plan, output or Generate(8))


def picture(mode: str = "RGB", kind: str = "PNG", **options: Any) -> Image:
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    out = io.BytesIO()
    Pil.fromarray(pixels).convert(mode).save(out, kind, **options)
    return read_image(out.getvalue(), name="picture")


async def collect(engine: OpenAIEngine, request: Request) -> tuple[list[Event], Done]:
    items = [item async for item in engine.stream(request)]
    *events, done = items
    assert isinstance(done, Done) and all(isinstance(e, Event) for e in events)
    return events, done


@asynccontextmanager
async def connected(*replies: Any, **options: Any) -> AsyncIterator[tuple[OpenAIEngine, Any]]:
    """An engine connected to a server that will give these replies; what the server saw till then is forgotten."""
    async with web.ScriptedServer() as server:
        engine = OpenAIEngine(candidate(server.url), **options)
        await engine.connect()
        server.seen.clear()
        server.replies[:] = replies or [web.words("ok")]
        try:
            yield engine, server
        finally:
            await engine.close()


# -- what is asked --------------------------------------------------------------------------------------------------
async def test_greedy_is_asked_for_in_full_because_servers_have_other_defaults() -> None:
    async with connected() as (engine, server):
        await collect(engine, ask())
        body = server.chats[0].body
    assert body.pop("messages") == [{"role": "user", "content": "Hi"}]
    assert body == {
        "model": "served", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 8,
        "temperature": 0.0, "top_p": 1.0, "top_k": -1, "repetition_penalty": 1.0, "logprobs": True,
        "return_token_ids": True,
    }  # fmt: skip


async def test_every_field_of_generate_reaches_the_server() -> None:
    output = Generate(
        7, min_tokens=3, ignore_eos=False, stop=("a", "b"), temperature=0.5, top_p=0.9, top_k=4, presence_penalty=0.1,
        frequency_penalty=0.2, repetition_penalty=1.1, seed=2**62 + 1,
    )  # fmt: skip
    async with connected(web.words("a", "b", "c")) as (engine, server):
        await collect(engine, ask(output=output))
        await collect(engine, ask(output=Generate(3, ignore_eos=True)))
        first, second = (seen.body for seen in server.chats)
    for name in ("min_tokens", "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed"):
        assert first[name] == getattr(output, name), name
    assert first["stop"] == ["a", "b"] and first["repetition_penalty"] == 1.1 and "ignore_eos" not in first
    assert second["ignore_eos"] is True


async def test_parts_keep_their_order_and_text_alone_is_a_string() -> None:
    one, two = picture(), picture("L")
    turns = (
        Turn("system", (Text("Be short."),)),
        Turn("user", (Text("Compare"), one, Text("with"), two)),
        Turn("assistant", (Text("Same."),)),
        Turn("user", (Text("Really?"),)),
    )
    async with connected() as (engine, server):
        await collect(engine, Request("r", Conversation(turns), PLAN, Generate(8)))
        messages = server.chats[0].body["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert messages[0]["content"] == "Be short." and messages[3]["content"] == "Really?"
    assert [part["type"] for part in messages[1]["content"]] == ["text", "image_url", "text", "image_url"]


def sent_image(body: dict[str, Any]) -> tuple[str, bytes]:
    url = next(part for part in body["messages"][0]["content"] if part["type"] == "image_url")["image_url"]["url"]
    head, _, content = url.partition(",")
    return head, base64.b64decode(content, validate=True)


@pytest.mark.parametrize(("kind", "mime"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp")])
async def test_a_plain_file_is_sent_as_it_came(kind: str, mime: str) -> None:
    image = picture(kind=kind)
    async with connected() as (engine, server):
        await collect(engine, ask("What?", image))
        assert sent_image(server.chats[0].body) == (f"data:image/{mime};base64", image.source)


@pytest.mark.parametrize("make", ["turned", "cmyk", "transparent"])
async def test_a_file_that_decoders_see_differently_is_sent_as_the_pixels_that_were_read(make: str) -> None:
    exif = Pil.new("RGB", (1, 1)).getexif()
    exif[0x0112] = 6
    image = {
        "turned": lambda: picture(kind="JPEG", exif=exif),
        "cmyk": lambda: picture("CMYK", "JPEG"),
        "transparent": lambda: picture("P", transparency=1),
    }[make]()
    async with connected() as (engine, server):
        await collect(engine, ask("What?", image))
        head, content = sent_image(server.chats[0].body)
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Pil.open(io.BytesIO(content))), image.pixels)


@pytest.mark.parametrize("path", ["fused", "text_only"])
async def test_a_request_that_was_encoded_ahead_is_the_same_request(path: VisualPath) -> None:
    request = ask('Say "what"?\n', picture(), picture("CMYK", "JPEG"), plan=Plan("c", visual_path=path))
    async with connected() as (engine, server):
        made = engine.encode_ahead(request)
        assert (await collect(engine, made))[1].error is None
        assert (await collect(engine, request))[1].error is None
        first, second = (seen.body for seen in server.chats)
    assert first == second and made.id == request.id and made.conversation is request.conversation


@pytest.mark.parametrize(
    ("error", "says"), [(MediaError("r: not a picture"), "not a picture"), (OSError("/secret"), "no longer")]
)
async def test_a_picture_that_cannot_be_read_when_it_is_due_fails_its_request_only(error: Exception, says: str) -> None:
    class Gone(Image):
        __slots__ = ()

        @property
        def source(self) -> bytes:
            raise error

    async with connected() as (engine, server):
        _, done = await collect(engine, ask("What?", Gone.__new__(Gone)))
        assert says in str(done.error) and "/secret" not in str(done.error) and server.chats == []
        assert (await collect(engine, ask()))[1].error is None


async def test_what_a_server_cannot_be_asked_is_refused_ahead_or_not() -> None:
    request = ask(plan=Plan("c", visual_budget=64))
    async with connected() as (engine, server):
        _, done = await collect(engine, engine.encode_ahead(request))
        assert str(done.error).startswith("undefined") and server.chats == []


async def test_the_text_only_path_sends_no_picture() -> None:
    async with connected() as (engine, server):
        await collect(engine, ask("What?", picture(), plan=Plan("c", visual_path="text_only")))
        assert server.chats[0].body["messages"] == [{"role": "user", "content": "What?"}]


# -- what comes back ------------------------------------------------------------------------------------------------
async def test_a_reply_becomes_events_and_one_done_without_its_eos() -> None:
    reply = web.raw(
        web.delta(""), web.delta("a", ids=[5], logprobs=[-1.0]), web.delta("", ids=[6], logprobs=[-2.0]),
        web.delta("bc", ids=[7], logprobs=[-3.0]), web.delta("", ids=[2], logprobs=[-9.0], finish="stop"),
        web.usage(11, 4, prompt_tokens_details={"multimodal_tokens": {"image": 6}}) + web.END,
    )  # fmt: skip
    async with connected(reply) as (engine, _):
        before = time.perf_counter_ns()
        events, done = await collect(engine, ask())
    assert [(e.text, e.token_ids) for e in events] == [("a", (5,)), ("bc", (6, 7))]
    assert before < events[0].time_ns <= events[1].time_ns <= done.time_ns
    assert (done.finish_reason, done.error, done.visuals, done.stages_ms) == ("stop", None, (), {})
    assert (done.usage.prompt_tokens, done.usage.visual_tokens, done.usage.completion_tokens) == (11, 6, 3)
    assert done.mean_logprob == pytest.approx(-2.0)


async def test_tokens_that_never_became_text_are_still_among_the_events_ids() -> None:
    reply = web.raw(web.delta("a", ids=[5]), web.delta("", ids=[6], finish="length"), web.END)
    async with connected(reply) as (engine, _):
        events, done = await collect(engine, ask())
    assert [(e.text, e.token_ids) for e in events] == [("a", (5,)), ("", (6,))]
    assert done.usage.completion_tokens == 2


async def test_a_stop_string_takes_no_token_away() -> None:
    reply = web.raw(web.delta("a", ids=[5, 6], finish="stop", stop_reason="b"), web.usage(3, 2), web.END)
    async with connected(reply) as (engine, _):
        events, done = await collect(engine, ask(output=Generate(8, stop=("b",))))
    assert events[0].token_ids == (5, 6) and done.usage.completion_tokens == 2 and done.finish_reason == "stop"


async def test_a_server_that_tells_no_ids_and_no_usage_leaves_them_unknown() -> None:
    reply = web.raw(web.delta("a"), web.delta("b", finish="stop"))
    async with connected(reply) as (engine, _):
        events, done = await collect(engine, ask())
    assert [e.token_ids for e in events] == [None, None]
    assert (done.finish_reason, done.usage.completion_tokens, done.mean_logprob) == ("stop", None, None)


async def test_usage_stands_where_no_ids_are_told() -> None:
    async with connected(web.raw(web.delta("a", finish="length"), web.usage(3, 9) + web.END)) as (engine, _):
        assert (await collect(engine, ask()))[1].usage.completion_tokens == 9


# -- a server in trouble --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", [429, 503, 502])
async def test_a_busy_server_is_asked_again_when_it_says(code: int) -> None:
    async with connected(web.status(code, Retry_After="1"), web.words("ok")) as (engine, server):
        before = time.perf_counter()
        events, done = await collect(engine, ask())
    assert done.error is None and events[0].text == "ok" and len(server.chats) == 2
    assert time.perf_counter() - before >= 1.0


async def test_a_server_that_stays_busy_fails_the_request_and_says_so() -> None:
    async with connected(web.status(429, Retry_After="0")) as (engine, server):
        _, done = await collect(engine, ask())
    assert done.finish_reason == "error" and "HTTP 429" in str(done.error) and len(server.chats) == 5


async def test_a_connection_lost_before_the_first_token_is_tried_again() -> None:
    async with connected(web.drop(web.delta("")), web.words("ok")) as (engine, server):
        events, done = await collect(engine, ask())
    assert done.error is None and events[0].text == "ok" and len(server.chats) == 2


@pytest.mark.parametrize("broken", ["drop", "end"])
async def test_a_connection_lost_after_the_first_token_is_an_error_and_never_a_second_answer(broken: str) -> None:
    reply = {"drop": web.drop, "end": web.raw}[broken](web.delta("a", ids=[1]))
    async with connected(reply) as (engine, server):
        events, done = await collect(engine, ask())
    assert [e.text for e in events] == ["a"] and done.finish_reason == "error" and len(server.chats) == 1


@pytest.mark.parametrize("before", [(), (b": ping\n\n",)])
async def test_a_silent_server_times_out_once(before: tuple[bytes, ...]) -> None:
    async with connected(web.stall(30.0, *before), timeout_s=0.3) as (engine, server):
        started = time.perf_counter()
        _, done = await collect(engine, ask())
    assert "no answer for 0.3 s" in str(done.error) and len(server.chats) == 1
    assert time.perf_counter() - started < 20.0


@pytest.mark.parametrize(
    "reply",
    [
        web.raw(b"data: {broken\n\n"),
        web.raw(b"data: \xff\xfe\xfd\n\n"),
        web.raw(b'data: {"choices": 7}\n\n'),
        web.raw(b'data: {"x": ' + b"[" * 100_000 + b"\n\n"),
        web.raw(b'data: {"choices": [{"delta": {"content": 5}}]}\n\n'),
        web.raw(b"data: " + b"x" * (5 << 20)),
        web.raw(b"<html>login</html>", kind="text/html"),
        web.status(200, {"choices": []}),
        web.raw(web.event(error={"message": "worker died"})),
        web.raw(web.delta("a", ids=[1], finish="content_filter"), web.END),
        web.status(500),
        web.status(400, {"detail": [{"loc": ["messages"], "msg": "too long"}]}),
        web.raw(b"gone", kind="application/json"),
    ],
)
async def test_nonsense_is_an_error_of_this_request_and_the_next_one_is_answered(reply: Any) -> None:
    async with connected(reply, web.words("ok")) as (engine, server):
        _, done = await collect(engine, ask())
        assert done.finish_reason == "error" and done.error and "\n" not in done.error and len(done.error) < 500
        assert len(server.chats) == 1
        _, done = await collect(engine, ask())
        assert done.error is None


async def test_a_redirect_is_not_followed_and_the_key_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    async with web.ScriptedServer() as elsewhere:
        moved = web.status(307, Location=f"{elsewhere.url}/v1/chat/completions")
        async with connected(moved) as (engine, _):
            _, done = await collect(engine, ask())
        assert "elsewhere" in str(done.error) and elsewhere.seen == []


async def test_closing_the_iterator_hangs_up() -> None:
    async with connected(web.words(*["x"] * 2000, gap_s=0.01)) as (engine, server):
        items = engine.stream(ask(output=Generate(2000)))
        async for item in items:
            if isinstance(item, Event):
                break
        await items.aclose()
        async with asyncio.timeout(5):
            while not server.hung_up:
                await asyncio.sleep(0.01)


async def test_no_more_requests_are_in_flight_than_allowed() -> None:
    async with connected(web.words("a", "b", gap_s=0.02), concurrency=3) as (engine, server):
        dones = await asyncio.gather(*(collect(engine, ask()) for _ in range(12)))
    assert all(done.error is None for _, done in dones)
    assert server.most_in_flight == 3


# -- fields that a server does not take -----------------------------------------------------------------------------
def refusing(*names: str, say: str = "Unrecognized request argument supplied: {}") -> Any:
    """Answers only requests without these fields; complains about one at a time."""

    async def reply(seen: Any, out: Any) -> None:
        bad = next((name for name in names if name in seen.body), None)
        chosen = web.words("ok") if bad is None else web.status(400, {"error": {"message": say.format(bad)}})
        await chosen(seen, out)

    return reply


@asynccontextmanager
async def connected_to(reply: Any) -> AsyncIterator[tuple[OpenAIEngine, Any]]:
    async with web.ScriptedServer(replies=[reply]) as server:
        engine = await open_openai_engine(candidate(server.url))
        try:
            yield engine, server
        finally:
            await engine.close()


async def test_refused_log_probabilities_are_gone_without_and_no_longer_declared() -> None:
    async with connected_to(refusing("logprobs")) as (engine, server):
        assert engine.info.capabilities == {"generate"}
        assert engine.info.settings["fields_refused"] == "logprobs"
        asked = len(server.chats)
        _, done = await collect(engine, ask())
        assert done.error is None and len(server.chats) == asked + 1
        assert "return_token_ids" in server.chats[-1].body


async def test_requests_that_are_refused_together_all_go_without() -> None:
    async with connected(refusing("logprobs", "return_token_ids")) as (engine, _):
        answers = await asyncio.gather(*(collect(engine, ask()) for _ in range(6)))
    assert [done.error for _, done in answers] == [None] * 6


async def test_a_strict_server_gets_only_openais_own_fields() -> None:
    names = ("top_k", "repetition_penalty", "return_token_ids")
    async with connected_to(refusing(*names)) as (engine, server):
        _, done = await collect(engine, ask())
        assert done.error is None and not set(names) & set(server.chats[-1].body)
        assert "logprobs" in engine.info.capabilities


async def test_a_server_that_does_not_say_which_field_gets_none_of_them() -> None:
    async with connected_to(refusing("return_token_ids", say="bad request")) as (engine, _):
        assert (await collect(engine, ask()))[1].error is None
        assert engine.info.capabilities == {"generate"}


async def test_a_complaint_about_one_request_costs_later_ones_nothing() -> None:
    async with connected(web.status(400, {"error": {"message": "prompt too long"}}), web.words("ok")) as (
        engine,
        server,
    ):
        assert "prompt too long" in str((await collect(engine, ask()))[1].error)
        await collect(engine, ask())
        assert server.chats[-1].body["logprobs"] is True


@pytest.mark.parametrize("field", ["ignore_eos", "min_tokens", "top_k", "repetition_penalty"])
async def test_a_needed_field_that_is_refused_is_named(field: str) -> None:
    output = Generate(4, min_tokens=4, ignore_eos=True, top_k=3, repetition_penalty=1.2)
    async with connected_to(refusing(field)) as (engine, _):
        _, done = await collect(engine, ask(output=output))
    assert str(done.error).startswith(f"undefined: the server does not take '{field}'")


@pytest.mark.parametrize("output", [Generate(9, ignore_eos=True), Generate(9, min_tokens=9)])
async def test_a_needed_field_that_is_silently_ignored_is_noticed(output: Generate) -> None:
    reply = web.raw(web.delta("a", finish="stop"), web.usage(3, 2) + web.END)
    async with connected(reply) as (engine, _):
        _, done = await collect(engine, ask(output=output))
    assert "ended after 2 of 9 tokens" in str(done.error)


# -- what a server cannot be asked ----------------------------------------------------------------------------------
async def test_ranking_is_undefined() -> None:
    async with connected() as (engine, server):
        with pytest.raises(CapabilityError, match="undefined"):
            await collect(engine, Request("r", Conversation.ask("Hi"), PLAN, Rank(("a", "b"))))
        assert "rank" not in engine.info.capabilities and server.seen == []


@pytest.mark.parametrize("plan", [Plan("c", visual_budget=64), Plan("c", visual_path="projected")])
async def test_what_only_the_model_can_do_is_undefined(plan: Plan) -> None:
    async with connected() as (engine, server):
        _, done = await collect(engine, ask(plan=plan))
    assert str(done.error).startswith("undefined") and "no access" in str(done.error) and server.seen == []


@pytest.mark.parametrize("more", [{"adapter": "a"}, {"quantization": "int4"}, {"visual_budget": 64}])
def test_a_candidate_cannot_quantise_adapt_or_bound_a_server(more: dict[str, Any]) -> None:
    with pytest.raises(CapabilityError, match="no access"):
        OpenAIEngine(candidate("http://127.0.0.1:1", **more))


# -- connecting -----------------------------------------------------------------------------------------------------
async def test_the_only_model_is_found_and_dialect_and_boxes_are_as_the_candidate_says() -> None:
    boxes = BoxFormat("norm_1000", "double_brackets")
    async with web.ScriptedServer() as server:
        server.other["/version"] = web.status(200, {"version": "1.2.3"})
        plain = await open_openai_engine(candidate(server.url))
        told = await open_openai_engine(candidate(f"{server.url}/v1/", dialect="internvl", box_format=boxes))
        await plain.close()
        await told.close()
    assert plain.info.settings["served_model"] == "served" and plain.info.settings["server_version"] == "1.2.3"
    assert (plain.info.dialect, plain.info.box_format) == ("generic", None)
    assert (told.info.dialect, told.info.box_format) == ("internvl", boxes)
    assert plain.info.capabilities == {"generate", "logprobs"}


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (web.status(200, {"data": [{"id": "a"}, {"id": "b"}]}), "2 models: a, b"),
        (web.status(200, {"data": []}), "0 models"),
        (web.status(200, "hello"), "does not list"),
    ],
)
async def test_a_server_of_no_single_model_needs_its_name(models: Any, message: str) -> None:
    async with web.ScriptedServer(other={"/v1/models": models}) as server:
        with pytest.raises(UserError, match=message) as caught:
            await open_openai_engine(candidate(server.url))
        assert "served_model" in str(caught.value.hint)
        engine = await open_openai_engine(candidate(server.url, served_model="b"))
        assert server.chats[-1].body["model"] == "b"
        await engine.close()


async def test_a_server_that_is_not_there_is_one_clear_line() -> None:
    async with web.ScriptedServer() as server:
        gone = f"http://127.0.0.1:{server.port}"
    with pytest.raises(EngineError, match=r"cannot be reached") as caught:
        await open_openai_engine(candidate(gone))
    assert caught.value.hint


async def test_a_server_that_cannot_answer_is_found_out_on_connecting() -> None:
    async with web.ScriptedServer(replies=[web.status(500, {"error": {"message": "no weights"}})]) as server:
        with pytest.raises(EngineError, match="no weights"):
            await open_openai_engine(candidate(server.url))


def self_signed(folder: Path) -> ssl.SSLContext:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the openssl program, which makes a certificate for this test, is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_certificate_that_nobody_signed_is_not_accepted(tmp_path: Path) -> None:
    async with web.ScriptedServer(tls=self_signed(tmp_path)) as server:
        with pytest.raises(EngineError, match="certificate"):
            await open_openai_engine(candidate(server.url))
        assert server.seen == []


# -- keys and addresses ---------------------------------------------------------------------------------------------
async def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret-2")
    async with web.ScriptedServer() as server:
        engine = await open_openai_engine(candidate(server.url, api_key_env="MY_KEY"))
        assert server.chats[0].headers["authorization"] == "Bearer sk-secret-2"
        server.replies[:] = [web.status(401, {"error": {"message": "Incorrect API key provided: sk-secret-2."}})]
        _, done = await collect(engine, ask())
        await engine.close()
    assert "Incorrect API key provided: ***" in str(done.error) and "api_key_env" in str(done.hint)
    assert "sk-secret-2" not in f"{done} {engine.info} {engine._address}"


async def test_what_a_terminal_would_obey_is_not_passed_on() -> None:
    async with connected(web.status(400, {"error": {"message": "no\x1b[2J\x00 such\u202e image"}})) as (engine, _):
        assert str((await collect(engine, ask()))[1].error).endswith("no [2J such image")


def test_the_default_key_does_not_leave_this_machine_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-3")
    assert find_address(candidate("http://10.0.0.7:8000")).key is None
    for url in (
        "https://api.example.com",
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://[::1]:8000",
        "http://0.0.0.0:1",
    ):
        assert find_address(candidate(url)).key == "sk-secret-3"
    named = candidate("http://10.0.0.7:8000", api_key_env="OPENAI_API_KEY")
    assert find_address(named).key == "sk-secret-3"


def test_a_named_key_that_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="NO_SUCH_KEY holds no key"):
        find_address(candidate("https://api.example.com", api_key_env="NO_SUCH_KEY"))


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("http://h:8000/v1/", "http://h:8000/v1"),
        ("https://h/openai/v3", "https://h/openai/v3"),
        ("https://h/a%2Fb/v1%0d%0aX:%20y/", "https://h/a%2Fb/v1%0d%0aX:%20y"),
        ("https://h/v1/chat/completions", "https://h/v1"),
        ("https://user:pass@h/v1?api-version=2#x", "https://h/v1"),
    ],
)
def test_a_url_is_understood_and_shown_without_credentials(url: str, base: str) -> None:
    assert find_address(candidate(url)).shown == base


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://h", "file:///etc/passwd", "http://", "http://[::1"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="URL"):
        find_address(candidate(url))


async def test_credentials_of_a_url_are_used_and_never_shown() -> None:
    async with web.ScriptedServer() as server:
        url = server.url.replace("http://", "http://ann:pw-secret@")
        engine = await open_openai_engine(candidate(url))
        assert server.chats[0].headers["authorization"].startswith("Basic ")
        assert "pw-secret" not in str(engine.info) and "ann" not in str(engine.info)
        await engine.close()
