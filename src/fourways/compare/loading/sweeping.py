"""Candidates at fixed loads: blocks that take turns (A B, A B, …) at each load, after warming up for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from fourways.axes.contract import Opened
from fourways.compare.loading.job import LoadJob, requests_a_block
from fourways.compare.loading.sending import Supply, Turn, Warmed, answered, drawn_asks, is_lost, warm_up
from fourways.compare.loading.telling import Telling
from fourways.compare.progress import Show
from fourways.core.load import Load
from fourways.core.request import derive_seed
from fourways.core.rows import FailureRow, RequestRow, Row
from fourways.load import Workload

AXIS = "latency"


@dataclass(frozen=True, slots=True)
class Round:
    """All loads once. restart: which fresh start of the engines this is. first_block: the number of its first block of
    each load, so that no two blocks of a candidate have the same."""

    restart: int = 0
    first_block: int = 0


async def swept(
    opened: Sequence[Opened], drawn: Workload, supply: Supply, job: LoadJob, turn: Round, show: Show
) -> AsyncGenerator[Row, None]:
    """Every load in turn. A candidate that answers nothing yields a FailureRow, and the others go on."""
    lost: set[str] = set()
    for number, load in enumerate(job.loads):
        left = [one for one in opened if one.candidate.name not in lost]
        pace: float | None = None
        for one in left:
            warmed = await _warmed(one, drawn, load, number, job)
            if warmed.dead is not None:
                lost.add(one.candidate.name)
                yield dead(one, f"{drawn.name}, {load.label}, warm-up", warmed.dead)
            elif warmed.served_per_s is not None:
                pace = min(pace or warmed.served_per_s, warmed.served_per_s)
        left = [one for one in left if one.candidate.name not in lost]
        async with aclosing(_at_load(left, drawn, supply, job, turn, load, pace, show)) as rows:
            async for row in rows:
                lost |= {row.candidate} if is_lost(row) else set()
                yield row


async def _at_load(
    opened: Sequence[Opened],
    drawn: Workload,
    supply: Supply,
    job: LoadJob,
    turn: Round,
    load: Load,
    pace: float | None,
    show: Show,
) -> AsyncGenerator[Row, None]:
    """The blocks of one load, every candidate on the same items at the same instants."""
    count = requests_a_block(job, load, pace)
    bars = {one.candidate.name: Telling(show, f"{one.candidate.name} · {load.label}") for one in opened}
    left = list(opened)
    for block in range(turn.first_block, turn.first_block + job.blocks):
        items, cache = supply.take(count)
        seed = derive_seed(job.seed, f"{load.label}/{block}")
        for one in list(left):
            told = bars[one.candidate.name]
            told.block(len(items), turn.first_block + job.blocks - block)
            at = Turn(f"{turn.restart}/{load.label}/{block}", load, block, items, cache, turn.restart)
            asks = await drawn_asks(one, drawn, at, job.seed)
            requests: list[RequestRow] = []
            async with aclosing(answered(one, asks, at, workload=drawn.name, seed=seed)) as rows:
                async for row in rows:
                    yield row
                    if isinstance(row, RequestRow):
                        requests.append(row)
                        told.row(row)
            if all(row.error is not None for row in requests):
                left.remove(one)
                yield _stopped(one, f"{drawn.name}, {load.label}, block {block}", told, requests[0].error)


def _stopped(one: Opened, where: str, told: Telling, error: str | None) -> FailureRow:
    """A candidate whose later requests are not sent, since a whole block of them failed."""
    why = f"stopped after {told.done} of {told.total}: every request of a block failed; the first: {error}"
    return FailureRow(one.candidate.name, AXIS, "axis", where, why)


async def _warmed(one: Opened, drawn: Workload, load: Load, number: int, job: LoadJob) -> Warmed:
    """In a closed loop as wide as the load's own; at open loops, eight at a time."""
    at = load if load.arrivals == "closed" else Load(concurrency=8)
    items = range(number * job.warm_up, (number + 1) * job.warm_up)
    return await warm_up(one, drawn, at, items, job.seed)


def dead(one: Opened, where: str, error: str | None) -> FailureRow:
    """A candidate that answered nothing there."""
    return FailureRow(one.candidate.name, AXIS, "axis", where, f"every request failed; the first: {error}")
