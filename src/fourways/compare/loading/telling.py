"""What a person is told while requests come back: how many a second, how long to the first text, how many failed."""

from __future__ import annotations

from collections import deque
from statistics import median

from fourways.compare.progress import Show
from fourways.core.load import Load
from fourways.core.rows import RequestRow

_LAST = 50
_LEAST_S = 1.0


class Telling:
    """The bar of one candidate at one load. done, total: requests that ended, and that will have been sent."""

    def __init__(self, show: Show, what: str) -> None:
        self._show, self._what, self.total = show, what, 0
        self.done = self._failed = 0
        self._ttft: deque[float] = deque(maxlen=_LAST)
        self._block: tuple[Load, int] | None = None
        self._before_ms = self._here_ms = 0.0

    def block(self, requests: int, blocks_left: int) -> None:
        """A block of so many requests begins, and as many blocks with it are left."""
        self.total = self.done + requests * blocks_left

    def row(self, row: RequestRow) -> None:
        if (row.load, row.block) != self._block:  # the instants of each block count from its own start
            self._block = row.load, row.block
            self._before_ms, self._here_ms = self._before_ms + self._here_ms, 0.0
        self._here_ms = max(self._here_ms, row.scheduled_ms + (row.e2e_ms or 0.0))
        self.done += 1
        self.total = max(self.total, self.done)
        if row.error is not None:
            self._failed += 1
        if row.ttft_ms is not None:
            self._ttft.append(row.ttft_ms)
        self._show.step(self.done, self.total, self._what, self._note())

    def _note(self) -> str:
        """The pace is of all answers over the time in which they were sent for; of less than a second it is luck."""
        seconds = (self._before_ms + self._here_ms) / 1000
        pace = [f"{(self.done - self._failed) / seconds:.1f}/s"] if seconds >= _LEAST_S else []
        ttft = [f"ttft {median(self._ttft):.0f} ms"] if self._ttft else []
        return " · ".join([*pace, *ttft, *([f"{self._failed} failed"] if self._failed else [])])
