"""The client watches itself: it must see its own lateness, and not blame itself for a slow engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from fourways.core.conversation import Conversation
from fourways.core.engine import EngineInfo
from fourways.core.events import Done, Event, Usage
from fourways.core.load import Load
from fourways.core.request import Generate, Plan, Request
from fourways.core.rows import ClientRow, RequestRow
from fourways.load import Ask, Health, Meter, client_row, request_row, send
from fourways.load import meter as meters

LOAD = Load("constant", None, 50.0)


class Elsewhere:
    """Looks like a server by URL; 40 ms to the first text. burn_s: how long each request keeps the client's own loop
    from doing anything else. held_back: as an engine that lets only so many requests out counts it."""

    def __init__(self, burn_s: float = 0.0, where: str = "url", held: int = 0) -> None:
        self.info = EngineInfo("openai", "generic", None, frozenset({"generate"}), {where: "http://h"})
        self._burn_s, self._held, self.held_back = burn_s, held, 0

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        self.held_back += self._held
        until = time.thread_time() + self._burn_s
        while time.thread_time() < until:
            pass
        await asyncio.sleep(0.04)
        yield Event("a", None, time.perf_counter_ns())
        yield Done("length", Usage(1, None, 1), time.perf_counter_ns())

    async def clear_caches(self) -> None: ...

    async def close(self) -> None: ...


async def measured(engine: Elsewhere, count: int = 50, load: Load = LOAD) -> tuple[Health, list[RequestRow]]:
    asks = [Ask(Request(f"r{i}", Conversation.ask("Hi"), Plan("c"), Generate(1)), i, "") for i in range(count)]
    rows = []
    async with Meter(engine) as meter:
        async for timing in send(engine, asks, load):
            ask = asks[timing.index]
            rows.append(request_row(timing, ask, candidate="c", workload="w", load=load, cache="mixed", block=0))
    return meter.health(rows), rows


def rows_of(ttft_ms: float | None, delays_ms: list[float]) -> list[RequestRow]:
    return [
        RequestRow(
            "c", "w", None, "mixed", 0, item, "", 10.0 * item, 10.0 * item + delay, ttft_ms, None, None, (), None, None,
            None, {}, None if ttft_ms is not None else "lost", "constant", 50.0,
        )
        for item, delay in enumerate(delays_ms)
    ]  # fmt: skip


async def test_a_client_at_rest_counts_its_time_and_its_wakes() -> None:
    health, rows = await measured(Elsewhere())
    assert health.busy_share < 0.5 and health.lag_n >= 20 and not health.shares_process
    assert 0 <= health.lag_p50_ms <= health.lag_p99_ms <= health.lag_max_ms
    assert health.wall_ms == pytest.approx(max(row.scheduled_ms for row in rows) + 40, rel=0.5)
    assert 0 < health.cpu_ms < health.wall_ms


@pytest.mark.parametrize(
    ("delays_ms", "says"),
    [
        ([900.0] * 50, None),
        ([0.0] * 48 + [1500.0] * 2, "2 of 50 requests left the client more than 1000.0 ms late"),
        ([0.0] * 15 + [1500.0], None),
        ([0.0] * 495 + [5000.0] * 5, None),
        ([0.0] * 494 + [5000.0] * 6, "6 of 500 requests left the client more than 1000.0 ms late"),
    ],
)
async def test_a_late_dispatch_counts_from_a_tenth_of_the_ttft_on(delays_ms: list[float], says: str | None) -> None:
    """Over a ttft of 10 s, beside which the lateness of any machine that runs this is small."""
    async with Meter(Elsewhere()) as meter:
        await asyncio.sleep(0.05)
    bound = meter.health(rows_of(10_000.0, delays_ms)).client_bound
    assert bound == says or (says is not None and bound is not None and bound.startswith(says))


@pytest.mark.parametrize(("late", "says"), [(8, None), (9, "9 of 16 requests left the client more than 1000.0 ms")])
async def test_beside_an_engine_only_what_delays_most_requests_is_the_clients(late: int, says: str | None) -> None:
    async with Meter(Elsewhere(where="threads")) as meter:
        await asyncio.sleep(0.05)
    bound = meter.health(rows_of(10_000.0, [0.0] * (16 - late) + [1500.0] * late)).client_bound
    assert bound == says or (says is not None and bound is not None and bound.startswith(says))


async def test_a_loop_that_wakes_late_counts_from_a_tenth_of_the_ttft_on() -> None:
    async with Meter(Elsewhere()) as meter:
        await asyncio.sleep(0.02)
        time.sleep(0.5)
    assert "event loop woke" in str(meter.health(rows_of(3_000.0, [0.0] * 20)).client_bound)
    assert meter.health(rows_of(60_000.0, [0.0] * 20)).client_bound is None


async def test_delays_below_the_timers_own_are_none_however_small_the_ttft() -> None:
    async with Meter(Elsewhere(where="threads")) as meter:
        await asyncio.sleep(0.05)
    assert meter.health(rows_of(1.0, [1.9] * 50)).client_bound is None
    assert meter.health(rows_of(1.0, [2.1] * 50)).client_bound is not None


async def test_where_nothing_was_answered_there_is_nothing_to_set_a_delay_against() -> None:
    async with Meter(Elsewhere()) as meter:
        await asyncio.sleep(0.05)
    assert meter.health(rows_of(None, [500.0] * 5)).client_bound is None


async def test_a_client_whose_loop_has_no_time_left_says_so() -> None:
    health, _ = await measured(Elsewhere(burn_s=0.03))
    assert health.client_bound is not None


@pytest.mark.parametrize(("own_s", "bound"), [(7.9, None), (8.1, "the client's event loop was busy 81% of the time")])
async def test_a_loop_is_busy_by_its_own_threads_time_and_not_by_its_helpers(
    own_s: float, bound: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = iter([(100.0, 1.0, 2.0), (110.0, 1.0 + own_s, 12.0)])
    monkeypatch.setattr(meters, "_clocks", lambda: next(clocks))
    async with Meter(Elsewhere()) as meter:
        pass
    health = meter.health(rows_of(60_000.0, [0.0]))
    assert (health.wall_ms, health.cpu_ms, health.client_bound) == (10_000.0, 10_000.0, bound)
    assert health.busy_share == pytest.approx(own_s / 10)


async def test_a_stall_of_the_loop_counts_for_every_probe_that_it_kept_from_happening() -> None:
    async with Meter(Elsewhere()) as meter:
        await asyncio.sleep(0.3)
        time.sleep(0.4)
        await asyncio.sleep(0.1)
    health = meter.health([])
    assert health.lag_max_ms >= 380 and health.lag_p99_ms >= 350
    assert health.lag_n >= 30


async def test_requests_that_the_clients_own_limit_held_back_are_named() -> None:
    health, _ = await measured(Elsewhere(held=1), count=5)
    assert health.client_bound == "5 requests waited for the client's own limit of requests in flight"


async def test_an_engine_in_the_same_process_is_told_apart_and_its_lag_is_no_reason() -> None:
    async with Meter(Elsewhere(where="threads")) as meter:
        time.sleep(0.2)
        await asyncio.sleep(0.2)
    health = meter.health([])
    assert health.shares_process and health.client_bound is None and health.lag_p99_ms > 50


async def test_a_client_row_carries_what_the_meter_found() -> None:
    health, _ = await measured(Elsewhere(), count=5)
    row = client_row(health, candidate="c", workload="w", load=LOAD, cache="mixed", block=3, restart=2)
    assert row == ClientRow(
        "c", "w", LOAD, "mixed", 3, health.wall_ms, health.cpu_ms, health.lag_n, health.lag_p50_ms, health.lag_p99_ms,
        health.lag_max_ms, False, health.client_bound, 2,
    )  # fmt: skip
