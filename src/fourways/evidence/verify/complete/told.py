"""What the rows themselves say is not there: failures, by what they excuse."""

from __future__ import annotations

from collections.abc import Iterator

from fourways.core.rows import FailureRow


class Told:
    """The failures of one axis."""

    def __init__(self) -> None:
        self._rows: list[FailureRow] = []

    def add(self, row: FailureRow) -> None:
        self._rows.append(row)

    def whole(self, candidate: str) -> bool:
        """The candidate was lost on this axis, or has no access to it."""
        return any(row.candidate == candidate and row.scope in ("candidate", "axis") for row in self._rows)

    def part(self, candidate: str) -> list[str]:
        """Which benchmarks, or seeds of a fine-tune, were lost or could not be asked."""
        return [row.where for row in self._rows if row.candidate == candidate and row.scope == "benchmark"]

    def single(self, candidate: str) -> list[str]:
        """Which single samples, steps or readings could not be had or written."""
        return [row.where for row in self._rows if row.candidate == candidate and row.scope == "sample"]

    def failed(self, candidate: str) -> bool:
        """Something larger than a sample was tried and broke, so that the axis is rightly not finished."""
        return any(
            row.candidate == candidate and row.scope != "sample" and row.status == "failed" for row in self._rows
        )

    def remarks(self) -> Iterator[str]:
        """What was tried and broke, which whoever reads the figures must know."""
        broken = [row for row in self._rows if row.status == "failed"]
        if broken:
            first = broken[0]
            what = " ".join(part for part in (first.candidate, first.scope, first.where) if part)
            yield f"{first.axis}: {len(broken):,} things broke, and rows say so; the first: {what}: {first.message}"
