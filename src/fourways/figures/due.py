"""The requests of a load run in the order in which they were due, and how many of them a second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from fourways.core.objective import Objective


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


def a_second(requests: Sequence[Request], counted: Sequence[bool]) -> list[float]:
    """Counted requests a second, block by block; 0 for a block in which nothing ended."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    number: dict[int, int] = defaultdict(int)
    for request, counts in zip(requests, counted, strict=True):
        first[request.block] = min(first.get(request.block, request.due_ms), request.due_ms)
        number[request.block] += counts
        if not request.failed and request.e2e_ms is not None:
            end = request.due_ms + request.e2e_ms
            last[request.block] = max(last.get(request.block, end), end)
    seconds = {block: (last.get(block, at) - at) / 1000 for block, at in first.items()}
    return [number[block] / length if length > 0 else 0.0 for block, length in seconds.items()]
