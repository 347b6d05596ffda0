"""The requests of a load run in the order in which they were due, and how much is answered a second."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fourways.core.errors import Undefined
from fourways.core.load import Load
from fourways.core.objective import Objective
from fourways.figures.definition import Estimate
from fourways.stats import Interval, t_interval

WINDOW = (
    "closed loop: of what ended up to the last scheduled send, over the time from the first to it, in which every "
    "place is taken; open loop: of all that ended, over the time from the first scheduled send to the last end"
)
OVER_BLOCKS = "Student's t over blocks, not below 0"
_SLACK_MS = 1e-6


class Request(NamedTuple):
    """What these figures need of one request. Instants in ms after its block's start; times None where undefined."""

    block: int
    restart: int
    due_ms: float
    ttft_ms: float | None
    e2e_ms: float | None
    tpot_ms: float | None
    failed: bool

    def place(self) -> tuple[float, ...]:
        """In the order in which they were due; where that is the same instant, in any order that is always the same."""
        return self.block, self.due_ms, self.failed, self.e2e_ms or 0.0

    def keeps(self, objective: Objective) -> bool:
        return not objective.missed(self.ttft_ms, self.e2e_ms, self.tpot_ms, self.failed)


def a_second(load: Load, requests: Sequence[Request], counted: Sequence[bool]) -> list[float]:
    """Counted requests a second, block by block."""
    block = [request.block for request in requests]
    due = [request.due_ms for request in requests]
    ends = [nan if r.failed or r.e2e_ms is None else r.due_ms + r.e2e_ms for r in requests]
    return rates(load, block, due, ends, counted)


def rates(load: Load, block: ArrayLike, due_ms: ArrayLike, end_ms: ArrayLike, amount: ArrayLike) -> list[float]:
    """Amount a second of each block in which it can be told. end_ms: nan where a request has none.

    Closed loop: what ended up to the last scheduled send, over the time from the first to it. All places are taken
    until then; afterwards they run empty one by one, which says nothing about the load. A block with no more requests
    than places has no such time. Open loop: what ended, over the time from the first scheduled send to the last end.
    """
    blocks, due, ends, amounts = (np.asarray(x, np.float64) for x in (block, due_ms, end_ms, amount))
    found = []
    for number in np.unique(blocks):
        here = blocks == number
        first, end, much = float(due[here].min()), ends[here], amounts[here]
        if load.concurrency is None:
            until = float(np.nanmax(end)) if not np.isnan(end).all() else first
        else:
            until = float(due[here].max())
            if until <= first:
                continue
        within = end <= until + _SLACK_MS
        found.append(1000 * float(much[within].sum()) / (until - first) if until > first else 0.0)
    return found


def estimate(found: Sequence[float]) -> Estimate:
    """The mean of rates over blocks, with Student's t; a rate is not below 0. Raises Undefined for none."""
    if not found:
        raise Undefined("no block has more requests than the loop has places")
    interval = t_interval(found)
    if interval is not None:
        interval = Interval(max(0.0, interval.low), interval.high)
    return Estimate(float(np.mean(found)), interval, len(found))
