"""Requests of the accuracy axis that failed, counted from the rows for each candidate and benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from fourways.core.rows import CAUSE, PICTURE, AnswerRow


@dataclass(slots=True)
class FailedRequests:
    """Of one candidate on one benchmark. unreadable: how many of the failed had a picture that cannot be read. first:
    why the first of them failed; empty if none did."""

    candidate: str
    benchmark: str
    asked: int = 0
    failed: int = 0
    unreadable: int = 0
    first: str = ""


class FailureTally:
    """Counts row by row, and holds no row."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], FailedRequests] = {}

    def put(self, row: AnswerRow) -> None:
        pair = (row.candidate, row.benchmark)
        counts = self._counts.get(pair)
        if counts is None:
            counts = self._counts[pair] = FailedRequests(*pair)
        counts.asked += 1
        if row.status == "failed":
            counts.failed += 1
            counts.unreadable += row.extra.get(CAUSE) == PICTURE
            counts.first = counts.first or row.extra.get("error", row.finish_reason)

    def failed(self) -> list[FailedRequests]:
        """Those of which at least one failed, in the order in which they were first asked."""
        return [counts for counts in self._counts.values() if counts.failed]
