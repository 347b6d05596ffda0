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


async def test_a_client_at_rest_is_not_to_blame_for_a_slow_engine() -> None:
    health, rows = await measured(Elsewhere())
    assert health.busy_share < 0.5 and health.lag_n >= 50 and not health.shares_process
    assert 0 <= health.lag_p50_ms <= health.lag_p99_ms <= health.lag_max_ms
    assert health.wall_ms == pytest.approx(max(row.scheduled_ms for row in rows) + 40, rel=0.5)
    assert 0 < health.cpu_ms < health.wall_ms
    if health.lag_p99_ms < 4.0:  # on a machine that let it run
        assert health.client_bound is None


async def test_a_client_whose_loop_has_no_time_left_says_so() -> None:
    health, _ = await measured(Elsewhere(burn_s=0.03))
    assert health.client_bound is not None and health.busy_share > 0.5


async def test_a_client_that_dispatches_late_says_by_how_much() -> None:
    """60 ms of work every second request, under 40 ms to the first text: half busy, yet late."""
    health, rows = await measured(Elsewhere(burn_s=0.012))
    late = sorted(row.dispatched_ms - row.scheduled_ms for row in rows)
    assert health.client_bound is not None
    assert late[-1] > 4.0 or "busy" in health.client_bound or "woke" in health.client_bound


async def test_a_stall_of_the_loop_counts_for_every_probe_that_it_kept_from_happening() -> None:
    async with Meter(Elsewhere()) as meter:
        await asyncio.sleep(0.3)
        time.sleep(0.4)
        await asyncio.sleep(0.1)
    health = meter.health([])
    assert health.lag_max_ms >= 380 and health.lag_p99_ms >= 350
    assert health.lag_n >= 60


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
