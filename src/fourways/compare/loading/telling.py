"""What a person is told while requests come back: how many a second, how long to the first text, how many failed."""

from __future__ import annotations

from collections import deque
from statistics import median

from fourways.compare.progress import Show
from fourways.core.rows import RequestRow

_LAST = 50


class Telling:
    """The bar of one candidate at one load."""

    def __init__(self, show: Show, what: str) -> None:
        self._show, self._what, self._total = show, what, 0
        self._done = self._failed = 0
        self._ttft: deque[float] = deque(maxlen=_LAST)
        self._ends: deque[float] = deque(maxlen=_LAST)

    def block(self, requests: int, blocks_left: int) -> None:
        """A block of so many requests begins, and as many blocks with it are left; its instants have a new origin."""
        self._total = self._done + requests * blocks_left
        self._ends.clear()

    def row(self, row: RequestRow) -> None:
        self._done += 1
        if row.error is not None:
            self._failed += 1
        if row.ttft_ms is not None and row.e2e_ms is not None:
            self._ttft.append(row.ttft_ms)
            self._ends.append(row.scheduled_ms + row.e2e_ms)
        self._show.step(self._done, self._total, self._what, self._note())

    def _note(self) -> str:
        seconds = (max(self._ends) - min(self._ends)) / 1000 if len(self._ends) > 1 else 0.0
        pace = [f"{(len(self._ends) - 1) / seconds:.1f}/s"] if seconds > 0 else []
        ttft = [f"ttft {median(self._ttft):.0f} ms"] if self._ttft else []
        return " · ".join([*pace, *ttft, *([f"{self._failed} failed"] if self._failed else [])])
