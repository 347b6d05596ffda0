"""All that a section of the page may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fourways.core.figure import Axis, Figure
from fourways.core.run import RunHeader
from fourways.report.facts import Facts
from fourways.report.gathered import Gathered
from fourways.report.pictures import Pictures

SHARES = frozenset({"unparsed", "failed"})
"""Metrics that every benchmark has beside its own."""


@dataclass(frozen=True)
class Material:
    """names: candidates, in the order of their series."""

    header: RunHeader
    figures: Sequence[Figure]
    facts: Facts
    gathered: Gathered
    names: Sequence[str]
    pictures: Pictures

    @cached_property
    def titles(self) -> dict[str, str]:
        """Benchmark key → its title."""
        return {record.key: record.title for record in self.header.suite}

    def title(self, benchmark: str) -> str:
        return self.titles.get(benchmark, benchmark)

    def of_axis(self, axis: Axis) -> list[Figure]:
        """Its figures, if the axis was run."""
        return [f for f in self.figures if f.axis == axis] if axis in self.header.axes else []

    @cached_property
    def benchmarks(self) -> list[str]:
        """Those that have answers or figures, in the suite's order."""
        seen = dict.fromkeys(f.labels["benchmark"] for f in self.of_axis("accuracy") if "benchmark" in f.labels)
        every = dict.fromkeys([*seen, *self.facts.answers.asked])
        return [*(key for key in self.titles if key in every), *(key for key in every if key not in self.titles)]

    @cached_property
    def primaries(self) -> dict[tuple[str, str], Figure]:
        """(candidate, benchmark) → its primary metric, which is the first figure that a benchmark gives as a whole."""
        found: dict[tuple[str, str], Figure] = {}
        for f in self.of_axis("accuracy"):
            if set(f.labels) == {"benchmark"} and f.metric not in SHARES:
                found.setdefault((f.candidate, f.labels["benchmark"]), f)
        return found

    @cached_property
    def aggregates(self) -> dict[str, Figure]:
        """Candidate → its mean over benchmarks."""
        return {f.candidate: f for f in self.of_axis("accuracy") if f.headline}
