"""The closed loop: what is timed from where, and that nothing is lost when things go wrong."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.engine import EngineInfo
from fourways.core.errors import EngineError
from fourways.core.events import Done, Event, Usage
from fourways.core.load import Load
from fourways.core.request import Generate, Plan, Request
from fourways.core.rows import RequestRow
from fourways.engines.openai import open_openai_engine
from fourways.load import Ask, Timing, request_row, send

MS = 1_000_000
Answer = Callable[[Request], AsyncIterator[Event | Done]]


class ScriptedEngine:
    """Answers as a test tells it; counts what runs at once and what was cut short."""

    info = EngineInfo("scripted", "generic", None, frozenset({"generate"}), {})

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.running = self.most_running = self.cut_short = 0

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async for item in self._answer(request):
                yield item
        except (GeneratorExit, asyncio.CancelledError):
            self.cut_short += 1
            raise
        finally:
            self.running -= 1

    async def clear_caches(self) -> None: ...

    async def close(self) -> None: ...


def done(tokens: int | None = 4, **more: Any) -> Done:
    return Done("length", Usage(9, 4, tokens), time.perf_counter_ns(), **more)


async def good(request: Request) -> AsyncIterator[Event | Done]:
    for text in "abcd":
        await asyncio.sleep(0.005)
        yield Event(text, None, time.perf_counter_ns())
    yield done(stages_ms={"decode": 1.5})


def asked(count: int, tokens: int = 4) -> list[Ask]:
    output = Generate(tokens, ignore_eos=True)
    return [Ask(Request(f"r{i}", Conversation.ask("Hi"), Plan("c"), output), i, "i") for i in range(count)]


async def run(answer: Answer, count: int = 6, concurrency: int = 2, **more: Any) -> tuple[list[Timing], ScriptedEngine]:
    engine = ScriptedEngine(answer)
    timings = [timing async for timing in send(engine, asked(count), Load(concurrency=concurrency), **more)]
    return sorted(timings, key=lambda timing: timing.index), engine


def row(timing: Timing) -> RequestRow:
    return request_row(
        timing, asked(99)[timing.index], candidate="c", workload="w", load=Load(concurrency=1), cache="cold", block=0
    )


# -- the loop -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (50, 6)])
async def test_as_many_run_at_once_as_asked_for_and_every_request_ends_once(concurrency: int, most: int) -> None:
    timings, engine = await run(good, concurrency=concurrency)
    assert [timing.index for timing in timings] == list(range(6))
    assert engine.most_running == most
    assert all(timing.error is None for timing in timings)


async def test_a_request_is_due_when_the_one_before_it_ended() -> None:
    timings, _ = await run(good, concurrency=1)
    assert timings[0].scheduled_ns == timings[0].started_ns
    for before, after in pairwise(timings):
        assert before.done is not None and after.scheduled_ns == before.done.time_ns
        assert after.dispatched_ns >= after.scheduled_ns


async def test_a_slow_request_holds_up_its_own_place_only() -> None:
    """The first request ends only after the last one; if it held up the others, none would ever end."""
    last = asyncio.Event()

    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        if request.id == "r0":
            await last.wait()
        async for item in good(request):
            yield item
        if request.id == "r7":
            last.set()

    async with asyncio.timeout(30):
        timings, _ = await run(answer, count=8, concurrency=2)
    slow, *others = timings
    assert all(timing.error is None for timing in timings)
    assert all(timing.scheduled_ns < slow.content_ns[0] for timing in others)


async def test_a_client_that_is_late_counts_its_delay_against_the_request() -> None:
    """The loop is blocked for 60 ms from the end of the first request; coordinated omission would hide it."""

    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        async for item in good(request):
            yield item
            if isinstance(item, Done) and request.id == "r0":
                time.sleep(0.06)

    timings, _ = await run(answer, count=2, concurrency=1)
    late = row(timings[1])
    assert late.dispatched_ms - late.scheduled_ms >= 60
    assert late.ttft_ms is not None and late.ttft_ms >= 65


async def test_no_request() -> None:
    assert [timing async for timing in send(ScriptedEngine(good), [], Load(concurrency=4))] == []


async def test_leaving_early_cancels_what_runs() -> None:
    engine = ScriptedEngine(good)
    loop = send(engine, asked(20), Load(concurrency=4))
    await anext(loop)
    await loop.aclose()
    assert engine.running == 0 and engine.cut_short >= 3


# -- failures are results -------------------------------------------------------------------------------------------
def ends_with(*items: Event | Done, error: Exception | None = None, forever: bool = False) -> Answer:
    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        for item in items:
            yield item
        if error is not None:
            raise error
        if forever:
            await asyncio.sleep(60)

    return answer


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ends_with(Done("error", Usage(None, None, None), 1, error="broken")), "broken"),
        (ends_with(error=EngineError("lost")), "lost"),
        (ends_with(error=KeyError("x")), "KeyError: 'x'"),
        (ends_with(Event("a", None, 1)), "the engine's stream ended without a Done"),
        (ends_with(done()), "the reply had no visible text"),
        (ends_with(Event("", (1,), 1), done()), "the reply had no visible text"),
        (ends_with(Event("a", None, 1), done(3)), "3 tokens came, 4 were asked for"),
        (ends_with(Event("a", None, 1), forever=True), "no end after 0.5 s"),
        (ends_with(error=TimeoutError("upstream")), "TimeoutError: upstream"),
    ],
)
async def test_a_failure_is_a_timing_and_the_others_finish(answer: Answer, error: str) -> None:
    async def mixed(request: Request) -> AsyncIterator[Event | Done]:
        async for item in answer(request) if request.id in ("r1", "r2") else good(request):
            yield item

    timings, engine = await run(mixed, timeout_s=0.5)
    assert [timing.error for timing in timings] == [None, error, error, None, None, None]
    assert engine.running == 0
    failed = row(timings[1])
    assert (failed.error, failed.ttft_ms, failed.e2e_ms, failed.tpot_ms, failed.chunk_gaps_ms) == (
        error,
        None,
        None,
        None,
        (),
    )


async def test_an_engine_that_gives_a_request_up_does_not_end_the_loop() -> None:
    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        if request.id in ("r1", "r3"):
            raise asyncio.CancelledError
        async for item in good(request):
            yield item

    async with asyncio.timeout(30):
        timings, _ = await run(answer, concurrency=1)
    assert [timing.error for timing in timings] == [
        None, "the engine gave it up", None, "the engine gave it up", None, None,
    ]  # fmt: skip


# -- the figures of a row -------------------------------------------------------------------------------------------
@given(
    start=st.integers(0, 10**15),
    wait=st.integers(0, 10**9),
    gaps=st.lists(st.integers(0, 10**9), min_size=1, max_size=40),
    tokens=st.none() | st.integers(0, 100),
)
@settings(deadline=None)
def test_a_rows_instants_follow_the_definitions(start: int, wait: int, gaps: list[int], tokens: int | None) -> None:
    due = start + wait
    instants = [due + sum(gaps[: i + 1]) for i in range(len(gaps))]
    timing = Timing(3, start, due, due + 7, list(instants), Done("length", Usage(9, 4, tokens), instants[-1]))
    seen = row(timing)
    assert seen.scheduled_ms == pytest.approx(wait / MS) and seen.dispatched_ms == pytest.approx((wait + 7) / MS)
    assert seen.ttft_ms == pytest.approx(gaps[0] / MS) and seen.e2e_ms == pytest.approx(sum(gaps) / MS)
    assert len(seen.chunk_gaps_ms) == len(gaps) - 1
    assert sum(seen.chunk_gaps_ms) == pytest.approx(seen.e2e_ms - seen.ttft_ms, abs=1e-6)
    if tokens is None or tokens < 2:
        assert seen.tpot_ms is None
    else:
        assert seen.tpot_ms == pytest.approx(sum(gaps[1:]) / MS / (tokens - 1), abs=1e-6)


async def test_a_row_carries_what_the_engine_said() -> None:
    timings, _ = await run(good, count=1)
    seen = row(timings[0])
    assert (seen.prompt_tokens, seen.visual_tokens, seen.output_tokens) == (9, 4, 4)
    assert seen.stages_ms == {"decode": 1.5} and (seen.candidate, seen.workload, seen.image) == ("c", "w", "i")


# -- over a real connection -----------------------------------------------------------------------------------------
def scripted_server() -> ModuleType:
    path = Path(__file__).parent.parent / "engines" / "scripted_server.py"
    spec = importlib.util.spec_from_file_location("scripted_server", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def test_a_servers_own_pace_is_recovered_over_http() -> None:
    """12 tokens, 20 ms before each: ttft near 40 ms (an empty first delta comes before), tpot near 20 ms."""
    web = scripted_server()
    async with web.ScriptedServer() as server:
        engine = await open_openai_engine(Candidate("c", url=server.url))
        server.replies[:] = [web.words(*["x"] * 12, gap_s=0.02)]
        timings = [t async for t in send(engine, asked(16, tokens=12), Load(concurrency=4))]
        await engine.close()
    rows = [row(timing) for timing in timings]
    assert [seen.error for seen in rows] == [None] * 16
    assert server.most_in_flight == 4
    middle = sorted(seen.tpot_ms or 0.0 for seen in rows)[8]
    assert 20.0 <= middle < 200.0
    assert all(40.0 <= (seen.ttft_ms or 0.0) < 5000.0 for seen in rows)


async def test_a_server_that_fails_now_and_then_costs_those_requests_only() -> None:
    web = scripted_server()
    good_reply, bad = web.words("a", "b"), web.status(500, {"error": {"message": "worker died"}})
    async with web.ScriptedServer() as server:
        engine = await open_openai_engine(Candidate("c", url=server.url))
        server.replies[:] = [good_reply, bad, web.raw(b"data: {\n\n"), web.drop(web.delta("a", ids=[1])), good_reply]
        timings = [t async for t in send(engine, asked(6, tokens=2), Load(concurrency=1))]
        await engine.close()
    assert [timing.error is None for timing in timings] == [True, False, False, False, True, True]


@pytest.mark.parametrize("code", [429, 503])
async def test_a_timed_request_is_sent_once_and_what_the_server_could_not_do_is_its_failure(code: int) -> None:
    web = scripted_server()
    async with web.ScriptedServer() as server:
        engine = await open_openai_engine(Candidate("c", url=server.url))
        busy = web.status(code, Retry_After="1")
        server.replies[:] = [busy, web.words("a", "b"), web.drop(web.delta("")), web.words("a", "b")]
        before = len(server.chats)
        timings = [t async for t in send(engine, asked(4, tokens=2), Load(concurrency=1))]
        await engine.close()
    assert [timing.error is None for timing in timings] == [False, True, False, True]
    assert len(server.chats) - before == 4, "none was sent twice"
    assert f"HTTP {code}" in str(timings[0].error) and timings[2].error == "the connection was lost"
    assert timings[-1].ended_ns - timings[0].scheduled_ns < 1e9, "nobody waited as long as the server asked for"
