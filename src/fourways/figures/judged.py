"""The companion that counts what a judge model read where the rule could not. The official figure never changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from fourways.benchmarks.contract import Benchmark
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.figures.definition import Definition, figure
from fourways.figures.linear import INTERVAL, estimate, has_value
from fourways.figures.paired import LEAST_IMAGES

JUDGED = Definition(
    "judged",
    "accuracy",
    "",
    "higher",
    "images",
    "the benchmark's primary metric with the judge's reading and score for replies that the rule could not read; a "
    "reply that the judge could not read either stays wrong",
    INTERVAL,
)
DEFINITIONS = (JUDGED,)
SUFFIX = "_judged"


def judged_figures(candidate: str, benchmark: Benchmark, rows: Sequence[AnswerRow]) -> Iterator[Figure]:
    """One for each judge that looked at a reply, named after the primary metric."""
    judges = sorted({row.judged.judge for row in rows if row.judged is not None})
    for judge in judges:
        metrics = benchmark.metrics([_as_judged(row, judge) for row in rows])
        primary = next((metric for metric in metrics if metric.primary), None)
        if primary is None or not has_value(primary):
            continue
        name, direction, unit = primary.name + SUFFIX, primary.direction, primary.unit
        found = estimate(primary.parts)
        labels = {"benchmark": benchmark.key, "judge": judge}
        made = figure(JUDGED, candidate, found, labels, least=LEAST_IMAGES)
        yield msgspec.structs.replace(made, metric=name, direction=direction, unit=unit)


def _as_judged(row: AnswerRow, judge: str) -> AnswerRow:
    said = row.judged
    if row.status != "unparsed" or said is None or said.judge != judge or said.error is not None:
        return row
    return msgspec.structs.replace(row, parsed=said.parsed, score=said.score)
