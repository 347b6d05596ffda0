"""What else is read while a block of requests is answered: the client's own health, and what the device draws.

An observer is told of a block and watches it from just before its first request to just after its last. It must cost
the block nothing that could be seen in its times: what samples does so seldom, or in a thread of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakSet

from fourways.axes.contract import Opened
from fourways.core.engine import Engine
from fourways.core.errors import Undefined
from fourways.core.load import Load
from fourways.core.rows import Cache, EnergyRow, FailureRow, RequestRow, Row
from fourways.load import Meter, client_row
from fourways.trace.energy import EnergyMeter


@dataclass(frozen=True, slots=True)
class Block:
    """The requests that one candidate answers before the next has its turn."""

    one: Opened
    workload: str
    load: Load
    cache: Cache
    number: int
    restart: int = 0


Tell = Callable[[Sequence[RequestRow]], Sequence[Row]]
"""A block's requests → what was seen of it; called once, after the block."""
Observer = Callable[[Block], AbstractAsyncContextManager[Tell]]


@asynccontextmanager
async def client_health(block: Block) -> AsyncIterator[Tell]:
    """A ClientRow: whether the load client kept up."""
    async with Meter(block.one.engine) as meter:
        yield lambda rows: [
            client_row(
                meter.health(rows),
                candidate=block.one.candidate.name,
                workload=block.workload,
                load=block.load,
                cache=block.cache,
                block=block.number,
                restart=block.restart,
            )
        ]


@asynccontextmanager
async def energy(block: Block) -> AsyncIterator[Tell]:
    """An EnergyRow, where this machine's device counts what it draws; else one FailureRow with the reason, beside the
    engine's first block. A block too short for a counter is written down all the same; the figure leaves it out."""
    if block.one.checkpoint is None:
        yield lambda rows: _without_energy(block, "no access: a server's device is its own")
        return
    with EnergyMeter(block.one.candidate.device) as meter:
        yield lambda rows: _energy_rows(block, meter, rows)


_SAID: WeakSet[Engine] = WeakSet()
"""Engines of which it was written that nobody can say what they draw."""


def _without_energy(block: Block, why: str) -> list[Row]:
    if block.one.engine in _SAID:
        return []
    _SAID.add(block.one.engine)
    return [FailureRow(block.one.candidate.name, "latency", "sample", "energy", why, status="undefined")]


def _energy_rows(block: Block, meter: EnergyMeter, rows: Sequence[RequestRow]) -> list[Row]:
    try:
        drawn = meter.drawn
    except Undefined as error:
        return _without_energy(block, error.reason)
    return [
        EnergyRow(
            candidate=block.one.candidate.name,
            workload=block.workload,
            load=block.load,
            cache=block.cache,
            block=block.number,
            joules=drawn.joules,
            seconds=drawn.seconds,
            answers=sum(row.error is None for row in rows),
            method=drawn.method,
            least_s=drawn.least_s,
            restart=block.restart,
        )
    ]


OBSERVERS: tuple[Observer, ...] = (client_health, energy)
"""Of every measured block; entered in this order, left in the other."""
