"""What did not work, by candidate and axis: the reason that stands where a figure would."""

from __future__ import annotations

from dataclasses import dataclass, field

from fourways.core.figure import Axis, Status
from fourways.core.rows import FailureRow


@dataclass(slots=True)
class Failures:
    """Collects failure rows. A lost axis or candidate outweighs a lost benchmark; the first reason stands."""

    _axes: dict[tuple[str, str], FailureRow] = field(default_factory=dict)
    _benchmarks: dict[tuple[str, str], FailureRow] = field(default_factory=dict)
    _readings: dict[tuple[str, str, str], FailureRow] = field(default_factory=dict)

    def add(self, row: FailureRow) -> None:
        if row.scope in ("candidate", "axis"):
            self._axes.setdefault((row.candidate, row.axis), row)
        elif row.scope == "benchmark" and row.axis == "accuracy":
            self._benchmarks.setdefault((row.candidate, row.where), row)
        elif row.scope == "sample" and row.axis in ("memory", "latency"):
            self._readings.setdefault((row.axis, row.candidate, row.where), row)

    def candidates(self, axis: Axis) -> list[str]:
        """Those with a failure on that axis, in the order of the rows."""
        lost = [candidate for candidate, name in self._axes if name == axis]
        if axis == "accuracy":
            lost += [candidate for candidate, _ in self._benchmarks]
        return list(dict.fromkeys(lost))

    def of_axis(self, candidate: str, axis: Axis) -> tuple[Status, str] | None:
        """Status and reason, or None if the axis was not lost."""
        row = self._axes.get((candidate, axis))
        return None if row is None else (row.status, row.message)

    def of_benchmark(self, candidate: str, benchmark: str) -> tuple[Status, str] | None:
        """The same of one benchmark."""
        row = self._benchmarks.get((candidate, benchmark))
        return None if row is None else (row.status, row.message)

    def benchmarks(self) -> list[str]:
        """Benchmarks that someone lost."""
        return list(dict.fromkeys(benchmark for _, benchmark in self._benchmarks))

    def of_readings(self, candidate: str, axis: Axis) -> dict[str, tuple[Status, str]]:
        """Single readings of the axis that are not there: which → status and reason."""
        found = {where: row for (name, who, where), row in self._readings.items() if (name, who) == (axis, candidate)}
        return {where: (row.status, row.message) for where, row in found.items()}

    def without(self, axis: Axis, where: str) -> dict[str, tuple[Status, str]]:
        """Candidate → status and reason, of those that lack this reading."""
        lost = {who: row for (name, who, what), row in self._readings.items() if (name, what) == (axis, where)}
        return {who: (row.status, row.message) for who, row in lost.items()}
