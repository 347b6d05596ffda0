"""Connections to a server: kept, dropped, tunnelled, cut in odd places; and what each read is stamped with."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.errors import EngineError, UserError
from fourways.core.events import Done
from fourways.core.request import Generate, Plan, Request
from fourways.engines.openai import OpenAIEngine, open_openai_engine, transport
from fourways.engines.openai.connection import Connection, Lost, Silent
from fourways.engines.openai.proxies import find_proxy

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"length"}]}\n\n'
END = b"data: [DONE]\n\n"
LAST = b"0\r\n\r\n"


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


WHOLE = HEAD + chunk(EVENT) + chunk(END) + LAST
Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Raw:
    """A server on 127.0.0.1 that sends these bytes, a pause before each but the first, to one request after another on
    a connection. The last answer stays. heads: of the requests that came; connections: how many were made."""

    def __init__(self, *answers: tuple[bytes, ...], gap_s: float = 0.0) -> None:
        self._answers, self._gap_s = list(answers), gap_s
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = self.ended = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((int(x.split(":")[1]) for x in head.split("\r\n") if x.startswith("Content-Length:")), 0)
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                for number, part in enumerate(answer):
                    if number:
                        await asyncio.sleep(self._gap_s)
                    writer.write(part)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.ended += 1
        finally:
            writer.close()


@asynccontextmanager
async def listening(play: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def engine_of(raw: Raw, **options: Any) -> AsyncIterator[OpenAIEngine]:
    async with listening(raw.serve) as port:
        engine = OpenAIEngine(Candidate("c", url=f"http://127.0.0.1:{port}", served_model="m"), **options)
        try:
            yield engine
        finally:
            await engine.close()


async def answered(engine: OpenAIEngine, **plan: Any) -> Done:
    request = Request("r", Conversation.ask("Hi"), Plan("c", **plan), Generate(1))
    *_, done = [item async for item in engine.stream(request)]
    assert isinstance(done, Done)
    return done


# -- kept connections ------------------------------------------------------------------------------------------------
async def test_one_connection_serves_one_request_after_another() -> None:
    raw = Raw((WHOLE,))
    async with engine_of(raw) as engine:
        for _ in range(5):
            assert (await answered(engine)).error is None
    assert raw.connections == 1 and len(raw.heads) == 5


async def test_the_end_is_told_when_it_is_known_and_the_last_bytes_are_waited_for_meanwhile() -> None:
    """[DONE] comes 0.2 s before the body's own end: nobody waits for that, yet the connection is kept."""
    raw = Raw((HEAD + chunk(EVENT) + chunk(END), LAST), (WHOLE,), gap_s=0.2)
    async with engine_of(raw) as engine:
        before = time.perf_counter()
        assert (await answered(engine)).error is None
        assert time.perf_counter() - before < 0.15
        await asyncio.sleep(0.3)
        assert (await answered(engine)).error is None
    assert raw.connections == 1


async def test_a_body_that_never_ends_costs_its_connection_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_ENDING_S", 0.1)
    raw = Raw((HEAD + chunk(EVENT) + chunk(END),))
    async with engine_of(raw) as engine:
        assert (await answered(engine)).error is None
        await asyncio.sleep(0.3)
        assert raw.ended == 1
        assert (await answered(engine)).error is None
    assert raw.connections == 2


async def test_a_connection_that_the_server_closed_while_nobody_used_it_is_not_tried() -> None:
    raw = Raw((WHOLE,))
    async with engine_of(raw) as engine:
        await answered(engine)
        raw.writers[0].close()
        await asyncio.sleep(0.05)
        before = time.perf_counter()
        assert (await answered(engine)).error is None
    assert raw.connections == 2 and time.perf_counter() - before < 0.2, "no attempt was lost to it"


@pytest.mark.parametrize(("rested", "error"), [(True, None), (False, "the connection was lost")])
async def test_a_connection_given_up_as_the_request_goes_out_costs_nothing_if_it_had_rested(
    monkeypatch: pytest.MonkeyPatch, rested: bool, error: str | None
) -> None:
    monkeypatch.setattr(transport, "_GIVEN_UP_S", 0.0 if rested else 60.0)
    connections = 0

    async def one_answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for reply in (WHOLE, b""):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(int(head.lower().split("content-length:")[1].split()[0]))
            writer.write(reply)
        writer.close()

    async with listening(one_answer_each) as port:
        engine = OpenAIEngine(Candidate("c", url=f"http://127.0.0.1:{port}", served_model="m"))
        request = Request("r", Conversation.ask("Hi"), Plan("c"), Generate(1), attempts=1)
        for expected in (None, error):
            *_, done = [item async for item in engine.stream(request)]
            assert isinstance(done, Done) and done.error == expected
        await engine.close()
    assert connections == (2 if rested else 1)


async def test_an_old_connection_and_one_that_speaks_unasked_are_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = Raw((WHOLE,))
    async with engine_of(raw) as engine:
        await answered(engine)
        raw.writers[0].write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await asyncio.sleep(0.05)
        await answered(engine)
        monkeypatch.setattr(transport, "_KEPT_S", 0.01)
        await asyncio.sleep(0.05)
        await answered(engine)
    assert raw.connections == 3 and len(raw.heads) == 3


async def test_an_answer_that_announces_its_end_of_connection_is_believed() -> None:
    raw = Raw((WHOLE.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n"),))
    async with engine_of(raw) as engine:
        await answered(engine)
        await answered(engine)
    assert raw.connections == 2


async def test_closing_the_engine_ends_every_connection() -> None:
    raw = Raw((HEAD + chunk(EVENT) + chunk(END), LAST), gap_s=0.2)
    async with engine_of(raw) as engine:
        await asyncio.gather(*(answered(engine) for _ in range(4)))
    await asyncio.sleep(0.3)
    assert raw.ended == raw.connections == 4


async def test_a_connection_that_is_made_while_the_engine_closes_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Raw((WHOLE,))
    async with engine_of(raw) as engine:
        loop, connecting, closed = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        connect = loop.create_connection

        async def slow(*args: Any, **more: Any) -> Any:
            made = await connect(*args, **more)
            connecting.set()
            await closed.wait()
            return made

        monkeypatch.setattr(loop, "create_connection", slow)
        running = asyncio.create_task(answered(engine))
        await connecting.wait()
        await engine.close()
        closed.set()
        assert "closed" in str((await running).error)
        await asyncio.sleep(0.05)
    assert raw.heads == [] and raw.ended == raw.connections == 1


def test_an_engine_that_is_taken_to_another_event_loop_makes_its_connections_anew() -> None:
    async def ask_twice(port: int) -> list[str | None]:
        return [(await answered(engine)).error for _ in range(2)]

    async def serve() -> tuple[list[str | None], int]:
        raw = Raw((WHOLE,))
        async with listening(raw.serve) as port:
            nonlocal engine
            engine = OpenAIEngine(Candidate("c", url=f"http://127.0.0.1:{port}", served_model="m"), timeout_s=5.0)
            errors = [e for _ in range(2) for e in await asyncio.to_thread(asyncio.run, ask_twice(port))]
        return errors, raw.connections

    engine: OpenAIEngine
    assert asyncio.run(serve()) == ([None] * 4, 2)


async def test_closing_the_engine_ends_what_runs_and_asks_nothing_again() -> None:
    raw = Raw((HEAD, chunk(EVENT)), gap_s=20.0)
    async with engine_of(raw) as engine:
        running = asyncio.create_task(answered(engine))
        while not raw.heads:
            await asyncio.sleep(0.01)
        await engine.close()
        async with asyncio.timeout(2):
            assert (await running).error == "the connection was lost (attempt 1)"
    assert len(raw.heads) == 1


# -- answers -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "before", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2]
)
async def test_announcements_before_the_answer_are_passed_over(before: bytes) -> None:
    raw = Raw((before + WHOLE,))
    async with engine_of(raw) as engine:
        assert (await answered(engine)).error is None
        assert (await answered(engine)).error is None
    assert raw.connections == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (WHOLE.replace(b"200 OK\r\n", b"200 OK\r\nContent-Encoding: gzip\r\n"), "compressed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (300 << 10), "lost"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "lost"),
        (HEAD + b"zz\r\n", "lost"),
    ],
)
async def test_what_is_no_answer_is_an_error_and_the_next_request_is_answered(
    answer: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fourways.engines.openai.engine.pause_s", lambda *_: 0.0)
    raw = Raw(*[(answer,)] * (5 if says == "lost" else 1), (WHOLE,))
    async with engine_of(raw) as engine:
        done = await answered(engine)
        assert done.error is not None and says in done.error
        assert (await answered(engine)).error is None


async def test_silence_after_the_first_token_times_out_once() -> None:
    raw = Raw((HEAD + chunk(EVENT), chunk(EVENT)), gap_s=20.0)
    async with engine_of(raw, timeout_s=0.3) as engine:
        before = time.perf_counter()
        assert (await answered(engine)).error == "no answer for 0.3 s"
    assert time.perf_counter() - before < 5 and len(raw.heads) == 1


async def test_a_server_that_keeps_talking_is_not_silent() -> None:
    raw = Raw((HEAD, *[chunk(EVENT)] * 8, chunk(END) + LAST), gap_s=0.1)
    async with engine_of(raw, timeout_s=0.3) as engine:
        assert (await answered(engine)).error is None


# -- what is sent ---------------------------------------------------------------------------------------------------
async def test_an_adapter_is_asked_for_by_its_served_name() -> None:
    raw = Raw((WHOLE,))
    async with engine_of(raw) as engine:
        await answered(engine, adapter="style-3")
        await answered(engine)
    assert b'"model":"style-3"' in raw.bodies[0] and b'"model":"m"' in raw.bodies[1]


async def test_requests_beyond_the_limit_are_counted_and_without_one_none_is_held_back() -> None:
    for concurrency, most in ((2, 4), (None, 0)):
        raw = Raw((HEAD + chunk(EVENT), chunk(END) + LAST), gap_s=0.1)
        async with engine_of(raw, concurrency=concurrency) as engine:
            await asyncio.gather(*(answered(engine) for _ in range(6)))
            assert engine.held_back == most


async def test_a_request_line_cannot_be_broken_out_of() -> None:
    raw = Raw((WHOLE,))
    async with listening(raw.serve) as port:
        for tail in ("/v1/a b", "/v1/ü?x=1 2", "/v1%0d%0aX-Other:%20b"):
            engine = OpenAIEngine(Candidate("c", url=f"http://127.0.0.1:{port}{tail}", served_model="m\r\nX-Other: b"))
            assert (await answered(engine)).error is None
            await engine.close()
        for tail in ("/v1\r\nX-Other: b", "/v1\nX-Other: b"):
            with pytest.raises(UserError):
                OpenAIEngine(Candidate("c", url=f"http://127.0.0.1:{port}{tail}"))
    for head in raw.heads:
        assert "\nX-Other" not in head and head.split("\r\n")[0].count(" ") == 2


def test_a_key_that_would_end_its_header_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAD_KEY", "a\r\nX-Other: b")
    with pytest.raises(UserError, match="key holds characters") as caught:
        OpenAIEngine(Candidate("c", url="http://127.0.0.1:1", api_key_env="BAD_KEY"))
    assert "X-Other" not in str(caught.value)


# -- one connection, byte by byte -------------------------------------------------------------------------------------
class Pipe(asyncio.Transport):
    """The other end of a connection under test."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.unsent_bytes = 0
        self.paused = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True


def opened(silence_s: float = 5.0) -> tuple[Connection, Pipe]:
    connection, pipe = Connection(), Pipe()
    connection.connection_made(pipe)
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", silence_s=silence_s)
    return connection, pipe


async def rest(connection: Connection) -> list[tuple[bytes, int]]:
    found = []
    while pieces := await connection.more():
        found.extend(pieces)
    return found


@given(
    bodies=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    framing=st.sampled_from(["chunked", "length", "end"]),
)
@settings(max_examples=200, deadline=None)
def test_an_answer_does_not_depend_on_how_its_bytes_arrive(bodies: list[bytes], cuts: list[int], framing: str) -> None:
    body = b"".join(bodies)
    answer = {
        "chunked": HEAD + b"".join(chunk(one) for one in bodies) + LAST,
        "length": b"HTTP/1.1 404 Not Found\r\ncontent-LENGTH: %d\r\n\r\n%s" % (len(body), body),
        "end": b"HTTP/1.1 200 OK\r\n\r\n" + body,
    }[framing]
    edges = sorted({0, len(answer), *(min(cut, len(answer)) for cut in cuts)})

    async def run() -> tuple[int, bytes, bool]:
        connection, _ = opened()
        for a, b in pairwise(edges):
            connection.data_received(answer[a:b])
        if framing == "end":
            connection.connection_lost(None)
        await connection.head()
        return connection.status, b"".join(piece for piece, _ in await rest(connection)), connection.reusable

    status, found, reusable = asyncio.run(run())
    assert (status, found) == (404 if framing == "length" else 200, body)
    assert reusable == (framing != "end")


@pytest.mark.parametrize("also", [0, 4, 17, 60])
async def test_a_second_answer_in_the_same_read_is_no_part_of_the_first_and_ends_the_connection(also: int) -> None:
    second = b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nother"
    connection, pipe = opened()
    connection.data_received(HEAD + chunk(b"own") + LAST + second[: len(second) - also])
    await connection.head()
    assert (connection.status, connection.headers["content-type"]) == (200, "text/event-stream")
    assert [piece for piece, _ in await rest(connection)] == [b"own"]
    assert not connection.reusable and pipe.aborted


async def test_trailers_are_no_headers() -> None:
    connection, _ = opened()
    connection.data_received(HEAD + chunk(b"own") + b"0\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n")
    await connection.head()
    assert connection.headers["content-type"] == "text/event-stream" and "content-encoding" not in connection.headers
    assert connection.reusable


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Name: value\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
        (HEAD + chunk(b"own") + b"0\r\n", b"X-Name: value\r\n"),
        (HEAD + chunk(b"own") + b"0\r\nX: ", b"x" * 1000),
        (HEAD + chunk(b"own") + b"1;", b"x=y;" * 250),
    ],
)
async def test_what_is_no_body_may_not_go_on_for_ever(start: bytes, more: bytes) -> None:
    connection, pipe = opened()
    connection.data_received(start + more)
    for _ in range(1 + (300 << 10) // len(more)):
        if not pipe.aborted:
            connection.data_received(more)
    assert pipe.aborted
    with pytest.raises(Lost):
        await connection.head()
        await rest(connection)


async def test_small_pieces_of_a_long_body_are_no_endless_head() -> None:
    connection, pipe = opened()
    connection.data_received(HEAD)
    for _ in range(100_000):
        connection.data_received(chunk(b"x"))
    assert not pipe.aborted


async def test_a_connection_whose_request_is_not_all_sent_or_that_was_made_to_wait_is_not_used_again() -> None:
    connection, pipe = opened()
    pipe.unsent_bytes = 1000
    connection.data_received(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
    await connection.head()
    assert connection.status == 413 and not connection.reusable
    connection, pipe = opened()
    connection.data_received(HEAD + chunk(b"x" * (2 << 20)) + LAST)
    assert pipe.paused and not connection.reusable
    await rest(connection)
    assert connection.reusable


async def test_pieces_carry_the_instant_of_their_read_however_late_they_are_taken() -> None:
    connection, _ = opened()
    before = time.perf_counter_ns()
    connection.data_received(HEAD + chunk(b"one") + chunk(b"two"))
    between = time.perf_counter_ns()
    time.sleep(0.02)
    connection.data_received(chunk(b"three") + LAST)
    time.sleep(0.02)
    (_, first), (_, second), (_, third) = await rest(connection)
    assert before <= first == second <= between < third - 15_000_000
    assert third <= time.perf_counter_ns() - 15_000_000


async def test_a_patient_reader_is_woken_less_often_and_for_the_end_at_once() -> None:
    connection, _ = opened()
    connection.data_received(HEAD + chunk(b"one"))
    await connection.more()
    connection.be_patient(0.1, last_words=b"[DONE]")
    before = time.perf_counter()
    taking = asyncio.create_task(connection.more())
    await asyncio.sleep(0)
    for piece in (b"two", b"three"):
        connection.data_received(chunk(piece))
        await asyncio.sleep(0.02)
    found = await taking
    assert [piece for piece, _ in found] == [b"two", b"three"] and time.perf_counter() - before > 0.09
    assert found[1][1] - found[0][1] > 15_000_000, "each has the instant of its own read"
    for last in (chunk(b"data: [DONE]"), LAST):
        before, taking = time.perf_counter(), asyncio.create_task(connection.more())
        await asyncio.sleep(0)
        connection.data_received(last)
        await taking
        assert time.perf_counter() - before < 0.05


async def test_a_patient_reader_is_told_of_a_loss_at_once() -> None:
    connection, _ = opened()
    connection.data_received(HEAD)
    connection.be_patient(30.0, last_words=b"[DONE]")
    taking = asyncio.create_task(connection.more())
    await asyncio.sleep(0)
    connection.data_received(chunk(b"one"))
    connection.connection_lost(None)
    assert [piece for piece, _ in await taking] == [b"one"]
    with pytest.raises(Lost):
        await connection.more()


@pytest.mark.parametrize("patience_s", [0.0, 0.05])
async def test_events_keep_their_own_instants_and_the_end_its_own(patience_s: float) -> None:
    word = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    raw = Raw((HEAD, *[chunk(word)] * 6, chunk(EVENT), chunk(END) + LAST), gap_s=0.02)
    request = Request("r", Conversation.ask("Hi"), Plan("c"), Generate(7))
    handed, items = [], []
    async with engine_of(raw, patience_s=patience_s) as engine:
        async for item in engine.stream(request):
            handed.append(time.perf_counter_ns())
            items.append(item)
    *events, done = items
    gaps_ms = [(after.time_ns - before.time_ns) / 1e6 for before, after in pairwise(events)]
    assert len(events) == 7 and all(12 < gap < 200 for gap in gaps_ms)
    assert (handed[0] - events[0].time_ns) / 1e6 < 15, "the first is handed over at once"
    assert events[-1].time_ns < done.time_ns and (handed[-1] - done.time_ns) / 1e6 < 15


async def test_what_came_before_a_loss_is_given_and_then_the_loss_is_told() -> None:
    connection, _ = opened()
    connection.data_received(HEAD + chunk(b"one"))
    connection.connection_lost(None)
    await connection.head()
    assert [piece for piece, _ in await connection.more()] == [b"one"]
    with pytest.raises(Lost):
        await connection.more()
    assert not connection.reusable


async def test_a_server_that_sends_faster_than_it_is_read_is_made_to_wait_and_not_called_silent() -> None:
    connection, pipe = opened(silence_s=0.1)
    connection.data_received(HEAD + chunk(b"x" * (2 << 20)))
    assert pipe.paused
    await asyncio.sleep(0.25)
    await connection.more()
    assert not pipe.paused
    with pytest.raises(Silent):
        await connection.more()


async def test_a_server_that_is_still_taking_the_request_is_not_silent() -> None:
    connection, pipe = Connection(), Pipe()
    connection.connection_made(pipe)
    pipe.unsent_bytes = 40
    connection.ask(b"POST / HTTP/1.1\r\n\r\n", silence_s=0.1)
    heading = asyncio.create_task(connection.head())
    for _ in range(8):
        await asyncio.sleep(0.05)
        pipe.unsent_bytes -= 5
        assert not heading.done()
    with pytest.raises(Silent):
        await heading


async def test_a_connection_that_is_gone_already_says_so_at_once() -> None:
    connection, _ = opened()
    connection.connection_lost(None)
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", silence_s=1.0)
    with pytest.raises(Lost):
        await connection.head()


# -- proxies -----------------------------------------------------------------------------------------------------------
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name.lower(), value)

    return set_all


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("http://far.example/v1", {}, None),
        ("http://far.example/v1", {"HTTP_PROXY": "http://p:3128"}, "http://p:3128"),
        ("http://far.example/v1", {"HTTP_PROXY": "p:3128"}, "http://p:3128"),
        ("https://far.example/v1", {"HTTP_PROXY": "http://p:3128"}, None),
        ("https://far.example/v1", {"ALL_PROXY": "http://p:3128"}, "http://p:3128"),
        ("http://far.example/v1", {"HTTP_PROXY": "http://p:3128", "NO_PROXY": "far.example"}, None),
        ("http://far.example:8000/v1", {"HTTP_PROXY": "http://p:3128", "NO_PROXY": ".example"}, None),
        ("http://far.example/v1", {"HTTP_PROXY": "http://p:3128", "NO_PROXY": "*"}, None),
    ],
)
def test_the_environment_names_the_proxy(
    url: str, variables: dict[str, str], proxy: str | None, proxied: Callable[..., None]
) -> None:
    proxied(**variables)
    found = find_proxy(httpx.URL(url))
    assert (None if found is None else str(found)) == proxy


def test_a_proxy_that_speaks_no_http_is_refused_without_its_password(proxied: Callable[..., None]) -> None:
    proxied(ALL_PROXY="socks5://ann:pw-secret@p:1080")
    with pytest.raises(UserError, match="socks5") as caught:
        find_proxy(httpx.URL("http://far.example"))
    assert "pw-secret" not in str(caught.value)


async def test_a_plain_request_goes_to_the_proxy_with_the_whole_url(proxied: Callable[..., None]) -> None:
    raw = Raw((WHOLE,))
    async with listening(raw.serve) as port:
        proxied(HTTP_PROXY=f"http://ann:pw@127.0.0.1:{port}")
        engine = OpenAIEngine(Candidate("c", url="http://far.example:8000/v1", served_model="m"))
        assert (await answered(engine)).error is None
        await engine.close()
    assert raw.heads[0].startswith("POST http://far.example:8000/v1/chat/completions HTTP/1.1\r\n")
    assert "\r\nHost: far.example:8000\r\n" in raw.heads[0]
    assert f"\r\nProxy-Authorization: Basic {base64.b64encode(b'ann:pw').decode()}\r\n" in raw.heads[0]


async def test_this_machines_own_servers_are_never_reached_by_a_proxy(proxied: Callable[..., None]) -> None:
    proxied(HTTP_PROXY="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1")
    async with engine_of(Raw((WHOLE,))) as engine:
        assert (await answered(engine)).error is None


def certified(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the openssl program, which makes a certificate for this test, is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@pytest.mark.parametrize(("name", "says"), [("localhost", None), ("other.example", "certificate")])
async def test_a_server_is_believed_by_an_authority_that_the_user_names_and_under_its_own_name_only(
    name: str, says: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, tls = certified(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr("fourways.engines.openai.engine.pause_s", lambda *_: 0.0)
    raw = Raw((WHOLE,))
    async with listening(raw.serve, tls) as port:
        engine = OpenAIEngine(Candidate("c", url=f"https://localhost:{port}/v1", served_model="m"))
        error = (await answered(engine)).error
        await engine.close()
    assert error is None if says is None else says in str(error)
    assert len(raw.heads) == (1 if says is None else 0)


class ConnectProxy:
    """Takes CONNECT and passes bytes on to `port` of this machine, whatever name was asked for."""

    def __init__(self, port: int, status: str = "200 OK") -> None:
        self._port, self._status = port, status
        self.heads: list[str] = []
        self.passed = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        if not self._status.startswith("200"):
            writer.close()
            return
        there, out = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._pass_on(reader, out), self._pass_on(there, writer))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while content := await source.read(65536):
                self.passed += content
                sink.write(content)
        except ConnectionError:
            pass
        finally:
            sink.close()


async def test_an_encrypted_request_goes_through_a_tunnel_that_sees_neither_it_nor_its_key(
    proxied: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, tls = certified(tmp_path, "far.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("MY_KEY", "sk-secret-9")
    raw = Raw((WHOLE,))
    async with listening(raw.serve, tls) as there:
        proxy = ConnectProxy(there)
        async with listening(proxy.serve) as port:
            proxied(HTTPS_PROXY=f"http://ann:pw@127.0.0.1:{port}")
            engine = OpenAIEngine(Candidate("c", url="https://far.example/v1", served_model="m", api_key_env="MY_KEY"))
            for _ in range(2):
                assert (await answered(engine)).error is None
            await engine.close()
    assert len(proxy.heads) == 1 and proxy.heads[0].startswith("CONNECT far.example:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic" in proxy.heads[0] and "sk-secret-9" not in proxy.heads[0]
    assert b"sk-secret-9" not in proxy.passed and b"far.example/v1" not in proxy.passed
    assert raw.heads[0].startswith("POST /v1/chat/completions") and "Bearer sk-secret-9" in raw.heads[0]
    assert "Proxy-Authorization" not in raw.heads[0]


@pytest.mark.parametrize("wrong", ["name", "authority"])
async def test_a_tunnel_to_a_server_whose_certificate_does_not_hold_is_not_used(
    wrong: str, proxied: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, tls = certified(tmp_path, "other.example" if wrong == "name" else "far.example")
    if wrong == "name":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    raw = Raw((WHOLE,))
    async with listening(raw.serve, tls) as there, listening(ConnectProxy(there).serve) as port:
        proxied(HTTPS_PROXY=f"http://127.0.0.1:{port}")
        with pytest.raises(EngineError, match="certificate"):
            await open_openai_engine(Candidate("c", url="https://far.example/v1"))
    assert raw.heads == []


async def test_a_proxy_that_refuses_is_named_without_its_password(proxied: Callable[..., None]) -> None:
    async with listening(ConnectProxy(1, "407 Proxy Authentication Required").serve) as port:
        proxied(HTTPS_PROXY=f"http://ann:pw-secret@127.0.0.1:{port}")
        with pytest.raises(EngineError, match="proxy did not let") as caught:
            await open_openai_engine(Candidate("c", url="https://far.example/v1"))
    assert "pw-secret" not in str(caught.value)


# -- many at once ------------------------------------------------------------------------------------------------------
def test_without_a_bound_the_process_may_open_as_many_files_as_the_system_allows() -> None:
    """In a process of its own, because it cannot be taken back everywhere."""
    code = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 512), hard))\n"
        "from fourways.engines.openai.transport import lift_file_limit; lift_file_limit()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 65536) or hard == -1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


async def test_a_process_without_files_left_is_told_so_and_not_that_the_server_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("fourways.engines.openai.engine.pause_s", lambda *_: 0.0)
    async with engine_of(Raw((WHOLE,))) as engine:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", refused)
        assert "ulimit" in str((await answered(engine)).error)
