"""Open loops: a request is due at its instant, and what delays it is counted and not hidden."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fourways import trace
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.engine import EngineInfo
from fourways.core.errors import MediaError, UserError
from fourways.core.events import Done, Event, Usage
from fourways.core.load import Load
from fourways.core.request import Generate, Plan, Request
from fourways.engines.openai import OpenAIEngine
from fourways.load import Ask, Timing, instants, request_row, send
from fourways.load.mock import MockSettings, running
from fourways.trace.reading import requests

Answer = Callable[[Request], AsyncIterator[Event | Done]]


class Scripted:
    """An engine that answers as a test tells it, and notes in which order it was asked."""

    info = EngineInfo("scripted", "generic", None, frozenset({"generate"}), {})

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.inside = self.most_inside = 0

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        self.asked.append(request.id)
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            async for item in self._answer(request):
                yield item
        finally:
            self.inside -= 1

    async def clear_caches(self) -> None: ...

    async def close(self) -> None: ...


def after(seconds: float) -> Answer:
    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        await asyncio.sleep(seconds)
        yield Event("a", None, time.perf_counter_ns())
        yield Done("length", Usage(1, None, 1), time.perf_counter_ns())

    return answer


def asks(count: int, *, tokens: int = 1, at_s: Sequence[float | None] = ()) -> list[Ask]:
    output = Generate(tokens, ignore_eos=True)
    due = [*at_s, *[None] * (count - len(at_s))]
    return [Ask(Request(f"r{i}", Conversation.ask("Hi"), Plan("c"), output), i, "", at_s=due[i]) for i in range(count)]


async def all_of(engine: Scripted | OpenAIEngine, asked: list[Ask], load: Load, **more: Any) -> list[Timing]:
    timings = [timing async for timing in send(engine, asked, load, **more)]
    return sorted(timings, key=lambda timing: timing.index)


def ttft_ms(timing: Timing, ask: Ask) -> float:
    row = request_row(timing, ask, candidate="c", workload="w", load=Load(concurrency=1), cache="mixed", block=0)
    assert row.error is None and row.ttft_ms is not None
    return row.ttft_ms


def background_tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


@pytest.mark.parametrize(
    "load", [Load("constant", None, 100.0), Load("poisson", None, 100.0), Load("ramp", None, 150.0, 50.0)]
)
async def test_requests_are_due_at_their_instants_and_leave_in_order_soon_after(load: Load) -> None:
    engine, asked = Scripted(after(0.05)), asks(40)
    timings = await all_of(engine, asked, load, seed=3)
    due = instants(load, 40, 3)
    assert engine.asked == [ask.request.id for ask in asked]
    for timing, at in zip(timings, due, strict=True):
        assert timing.error is None
        assert timing.scheduled_ns - timing.started_ns == round(at * 1e9)
        assert timing.dispatched_ns >= timing.scheduled_ns
    late_ms = sorted((timing.dispatched_ns - timing.scheduled_ns) / 1e6 for timing in timings)
    assert late_ms[20] < 5.0


async def test_an_open_loop_never_waits_for_the_requests_before() -> None:
    engine = Scripted(after(0.4))
    timings = await all_of(engine, asks(30), Load("constant", None, 200.0))
    assert engine.most_inside == 30
    assert all((t.dispatched_ns - t.scheduled_ns) / 1e6 < 200 for t in timings)


async def test_a_replay_keeps_its_instants_bursts_included() -> None:
    at = [0.0, 0.0, 0.0, 0.12, 0.12, 0.2]
    timings = await all_of(Scripted(after(0.01)), asks(6, at_s=at), Load("replay", None, 30.0))
    assert [(t.scheduled_ns - t.started_ns) / 1e9 for t in timings] == pytest.approx(at)


@pytest.mark.parametrize(
    ("at_s", "says"),
    [((0.0, None, 1.0), "1 of 3 requests"), ((0.0, 2.0, 1.0), "back in time"), ((-1.0, 0.0, 1.0), "negative"),
     ((0.0, float("nan"), 1.0), "negative"), ((0.0, 1.0, float("inf")), "finite")],
)  # fmt: skip
async def test_a_replay_without_sound_instants_is_refused_before_anything_is_sent(
    at_s: Sequence[float | None], says: str
) -> None:
    engine = Scripted(after(0.0))
    with pytest.raises(UserError, match=says):
        await all_of(engine, asks(3, at_s=at_s), Load("replay", None, 1.0))
    assert engine.asked == []


async def test_an_engine_that_stalls_shows_it_in_every_request_that_was_due_meanwhile() -> None:
    """The engine answers nothing from 0.1 s to 0.6 s. A client that waits for it would show one slow request."""
    began = time.perf_counter()

    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        now = time.perf_counter() - began
        if 0.1 < now < 0.6:
            await asyncio.sleep(0.6 - now)
        yield Event("a", None, time.perf_counter_ns())
        yield Done("length", Usage(1, None, 1), time.perf_counter_ns())

    asked = asks(80)
    timings = await all_of(Scripted(answer), asked, Load("constant", None, 100.0))
    shown = [ttft_ms(timing, ask) for timing, ask in zip(timings, asked, strict=True)]
    slow = [ms for ms in shown if ms > 50]
    assert 38 <= len(slow) <= 55
    assert all(before > after_ - 15 for before, after_ in pairwise(slow)), "the later it was due, the less it waited"


async def test_a_client_that_is_blocked_shows_its_own_delay_in_dispatch_and_ttft() -> None:
    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        if request.id == "r5":
            time.sleep(0.3)
        yield Event("a", None, time.perf_counter_ns())
        yield Done("length", Usage(1, None, 1), time.perf_counter_ns())

    asked = asks(30)
    timings = await all_of(Scripted(answer), asked, Load("constant", None, 100.0))
    late = [t for t in timings if (t.dispatched_ns - t.scheduled_ns) / 1e6 > 50]
    assert [t.index for t in late] == list(range(6, 6 + len(late))) and len(late) >= 15
    assert all(ttft_ms(t, asked[t.index]) >= (t.dispatched_ns - t.scheduled_ns) / 1e6 for t in late)


async def test_requests_that_wait_for_a_place_in_the_engine_wait_from_their_instants() -> None:
    place = asyncio.Semaphore(1)

    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        async with place:
            await asyncio.sleep(0.05)
            yield Event("a", None, time.perf_counter_ns())
        yield Done("length", Usage(1, None, 1), time.perf_counter_ns())

    asked = asks(10)
    timings = await all_of(Scripted(answer), asked, Load("constant", None, 1000.0))
    shown = [ttft_ms(timing, ask) for timing, ask in zip(timings, asked, strict=True)]
    assert shown[-1] >= 10 * 50 - 9 - 1


async def test_leaving_early_cancels_what_runs_and_sends_no_more() -> None:
    engine = Scripted(after(30.0))
    before = background_tasks()
    async with aclosing(send(engine, asks(1000), Load("constant", None, 200.0), timeout_s=0.05)) as timings:
        first = await anext(timings)
    assert first.error == "no end after 0.05 s"
    sent = len(engine.asked)
    await asyncio.sleep(0.1)
    assert engine.inside == 0 and len(engine.asked) == sent < 1000 and background_tasks() == before


async def test_a_cancelled_run_leaves_nothing_running() -> None:
    engine = Scripted(after(30.0))
    before = background_tasks()
    run = asyncio.create_task(all_of(engine, asks(50), Load("poisson", None, 500.0)))
    while engine.inside < 10:
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert engine.inside == 0 and background_tasks() == before


async def test_a_long_schedule_holds_tasks_only_for_what_is_inside() -> None:
    """30,000 requests: tasks and tickets for all of them at once would take tens of megabytes."""
    engine = Scripted(after(0.001))
    asked = asks(30_000)
    most = seen = 0
    async with aclosing(send(engine, asked, Load("constant", None, 2000.0))) as timings:
        async for _ in timings:
            seen += 1
            if seen % 50 == 0:
                most = max(most, len(asyncio.all_tasks()))
            if seen == 1000:
                break
    assert most < 500


async def test_the_garbage_collector_does_not_walk_what_was_there_before() -> None:
    """With torch loaded that takes a fifth of a second, in which nothing would be sent or stamped."""
    frozen = []

    async def answer(request: Request) -> AsyncIterator[Event | Done]:
        frozen.append(gc.get_freeze_count())
        yield Event("a", None, time.perf_counter_ns())
        yield Done("length", Usage(1, None, 1), time.perf_counter_ns())

    await all_of(Scripted(answer), asks(2), Load(concurrency=1))
    assert min(frozen) > 10_000 and gc.get_freeze_count() == 0


# -- media that the client decodes for the engine --------------------------------------------------------------------
async def test_media_are_decoded_when_their_request_is_due_and_their_time_is_a_stage() -> None:
    def read() -> Request:
        time.sleep(0.03)
        return Request("decoded", Conversation.ask("Hi"), Plan("c"), Generate(1))

    plain = asks(2)
    decoding = Ask(plain[1].request, 1, "", read=read)
    engine = Scripted(after(0.01))
    timings = await all_of(engine, [plain[0], decoding], Load(concurrency=1))
    rows = [
        request_row(t, a, candidate="c", workload="w", load=Load(concurrency=1), cache="cold", block=0)
        for t, a in zip(timings, (plain[0], decoding), strict=True)
    ]
    assert engine.asked == ["r0", "decoded"]
    assert "media_decode" not in rows[0].stages_ms and rows[1].stages_ms["media_decode"] >= 30
    assert rows[1].ttft_ms is not None and rows[1].ttft_ms >= 40
    assert rows[1].dispatched_ms - rows[1].scheduled_ms < 20, "decoding is not the client's own delay"


async def test_decoding_stands_on_its_requests_own_row_of_a_trace(tmp_path: Path) -> None:
    (plain,) = asks(1)
    with trace.recording(tmp_path) as made:
        await all_of(Scripted(after(0.0)), [Ask(plain.request, 0, "", read=lambda: plain.request)], Load(concurrency=1))
    assert [span.name for span in requests(made.path).rows[plain.request.label]] == ["media_decode"]


async def test_media_that_cannot_be_decoded_are_that_requests_failure() -> None:
    def read() -> Request:
        raise MediaError("not a picture")

    asked = [Ask(ask.request, ask.item, "", read=read if ask.item == 1 else None) for ask in asks(3)]
    timings = await all_of(Scripted(after(0.0)), asked, Load("constant", None, 100.0))
    assert [timing.error for timing in timings] == [None, "not a picture", None]


# -- over a real connection ------------------------------------------------------------------------------------------
async def test_a_server_gets_each_request_at_its_instant_by_its_own_log() -> None:
    load, count = Load("poisson", None, 60.0), 90
    with running(MockSettings(ttft_ms=30.0, gap_ms=2.0, tokens=8)) as server:
        engine = OpenAIEngine(Candidate("c", url=server.url), concurrency=None)
        await engine.connect()
        timings = await all_of(engine, asks(count, tokens=8), load, seed=8)
        await engine.close()
        came = sorted(served.arrival_ns for served in server.log()[1:])  # the first was asked on connecting
    assert [timing.error for timing in timings] == [None] * count
    assert engine.held_back == 0
    late_ms = sorted((at - timing.scheduled_ns) / 1e6 for at, timing in zip(came, timings, strict=True))
    assert late_ms[0] > 0 and late_ms[count // 2] < 10
