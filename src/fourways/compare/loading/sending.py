"""One candidate's go at one block: what is sent, and the rows that come of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from fourways.axes.contract import Opened
from fourways.axes.observing import OBSERVERS, Block
from fourways.core.errors import FourwaysError
from fourways.core.load import Load
from fourways.core.request import Plan
from fourways.core.rows import Cache, FailureRow, RequestRow, Row
from fourways.load import Ask, Timing, Workload, request_row, send

TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Turn:
    """items: of the workload, in the order in which they are sent. cache: what may be said of their pictures. name:
    unique within the engine's life."""

    name: str
    load: Load
    block: int
    items: Sequence[int]
    cache: Cache
    restart: int = 0


class Supply:
    """Items of a workload that nobody has been sent yet. One that has only so many begins again when they run out; its
    pictures are then no longer new, and rows say so. A trace is replayed from its first request every time."""

    def __init__(self, drawn: Workload) -> None:
        self._drawn = drawn
        self._next = 0

    def take(self, count: int) -> tuple[Sequence[int], Cache]:
        first, limit = self._next, self._drawn.limit
        self._next += count
        cache: Cache = self._drawn.cache
        if limit is None:
            return range(first, first + count), cache
        if self._drawn.replay is not None:
            return range(min(count, limit)), "mixed" if first else cache
        return [item % limit for item in range(first, first + count)], "mixed" if first + count > limit else cache


@dataclass(frozen=True, slots=True)
class Warmed:
    """What warming up showed. errors: of all requests, None for one that was answered. e2e_ms: their median; and
    served_per_s: answers a second; None if none was answered."""

    errors: Sequence[str | None]
    e2e_ms: float | None
    served_per_s: float | None

    @property
    def dead(self) -> str | None:
        """The first error, if every request failed."""
        return self.errors[0] if self.errors and all(error is not None for error in self.errors) else None


async def with_adapters(one: Opened, drawn: Workload) -> FailureRow | None:
    """A local engine reads the adapters that the workload names, which are folders to it; a server knows its own. A row
    where one cannot be used."""
    if one.checkpoint is None:
        return None
    from fourways.engines import LocalEngine

    assert isinstance(one.engine, LocalEngine), "whoever has a checkpoint has it loaded"
    try:
        for name in drawn.adapters:
            await one.engine.load_adapter(name, Path(name).expanduser())
    except FourwaysError as error:
        where = f"the workload {drawn.name}"
        return FailureRow(one.candidate.name, "latency", "candidate", where, error.message, error.hint)
    return None


async def warm_up(one: Opened, drawn: Workload, load: Load, items: range, seed: int) -> Warmed:
    """Ask about other pictures than the measured ones, so that code and memory are as they will be."""
    asks = await asyncio.to_thread(
        drawn.warm_up, plan_of(one), engine=one.engine.info, items=items, run_seed=seed, prefix=f"warm-up/{load.label}"
    )
    timings: list[Timing] = []
    async with aclosing(send(one.engine, asks, load, timeout_s=TIMEOUT_S)) as ended:
        async for timing in ended:
            timings.append(timing)
    good = [timing for timing in timings if timing.error is None]
    seconds = (max(t.ended_ns for t in timings) - min(t.scheduled_ns for t in timings)) / 1e9 if timings else 0.0
    return Warmed(
        [timing.error for timing in timings],
        median((t.ended_ns - t.scheduled_ns) / 1e6 for t in good) if good else None,
        len(good) / seconds if good and seconds > 0 else None,
    )


async def drawn_asks(one: Opened, drawn: Workload, turn: Turn, seed: int) -> list[Ask]:
    """The block's requests, their pictures drawn and waiting: all that takes time is done before the clock runs."""
    return await asyncio.to_thread(
        drawn.asks, plan_of(one), engine=one.engine.info, items=turn.items, run_seed=seed, prefix=turn.name
    )


async def answered(
    one: Opened,
    asks: Sequence[Ask],
    turn: Turn,
    *,
    workload: str,
    seed: int,
    timeout_s: float = TIMEOUT_S,
    enough: Callable[[int, RequestRow], bool] = lambda index, row: False,
) -> AsyncGenerator[Row, None]:
    """A RequestRow as each request ends, failed ones too; then what was observed beside them: how the client fared, and
    what the device drew. seed: of Poisson arrivals, the same for every candidate of a block. enough: is told each row
    and its place among the asks; once it says so nothing more is sent, and what is still inside is cancelled and leaves
    no row."""
    rows: list[RequestRow] = []
    block = Block(one, workload, turn.load, turn.cache, turn.block, turn.restart)
    async with AsyncExitStack() as watching:
        tells = [await watching.enter_async_context(observer(block)) for observer in OBSERVERS]
        ended = aclosing(send(one.engine, asks, turn.load, seed=seed, timeout_s=timeout_s))
        async for timing in await watching.enter_async_context(ended):
            row = request_row(
                timing,
                asks[timing.index],
                candidate=one.candidate.name,
                workload=workload,
                load=turn.load,
                cache=turn.cache,
                block=turn.block,
                restart=turn.restart,
            )
            rows.append(row)
            yield row
            if enough(timing.index, row):
                break
    for tell in tells:
        for told in tell(rows):
            yield told


def is_lost(row: Row) -> bool:
    """Whether a candidate has no further turn after this row."""
    return isinstance(row, FailureRow) and row.scope != "sample"


def plan_of(one: Opened) -> Plan:
    """The candidate's own."""
    candidate = one.candidate
    return Plan(candidate.name, candidate.adapter, visual_budget=candidate.visual_budget)
