"""The figures of one candidate on one benchmark: its official metrics, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import msgspec

from fourways.benchmarks.contract import Benchmark, Metric
from fourways.core.figure import Figure, Status
from fourways.core.rows import AnswerRow
from fourways.figures.calibration import calibration_figures
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.judged import judged_figures
from fourways.figures.linear import INTERVAL, estimate, has_value
from fourways.figures.paired import LEAST_IMAGES
from fourways.figures.yes_share import yes_share_figures
from fourways.stats import clustered_wilson

UNPARSED = Definition(
    "unparsed",
    "accuracy",
    "fraction",
    "lower",
    "images",
    "answers that the official rule cannot read / answers",
    INTERVAL,
    version=2,
)
FAILED = Definition(
    "failed", "accuracy", "fraction", "lower", "images", "requests that ended in an error / requests", INTERVAL, 2
)
UNKNOWN = Definition("unknown_benchmark", "accuracy", "", "none", "images", "of a benchmark not known here", "none")
DEFINITIONS = (UNPARSED, FAILED, UNKNOWN)
CLOSED = "the answers are not public"
NO_DENOMINATOR = "its denominator is 0: no unit counts"


@dataclass(frozen=True, slots=True)
class Answered:
    """What one candidate answered to one benchmark. rows: in the order of their samples."""

    candidate: str
    benchmark: Benchmark
    rows: Sequence[AnswerRow]
    metrics: Sequence[Metric]

    @classmethod
    def of(cls, candidate: str, benchmark: Benchmark, rows: Sequence[AnswerRow]) -> Answered:
        """Sorted by sample: sums of floats depend on order, and a resumed run's rows have another."""
        ordered = sorted(rows, key=lambda row: row.sample)
        return cls(candidate, benchmark, ordered, benchmark.metrics(ordered))

    def only(self, samples: Set[str]) -> Answered:
        """The same over some of the samples."""
        return Answered.of(self.candidate, self.benchmark, [row for row in self.rows if row.sample in samples])

    @property
    def primary(self) -> Metric | None:
        """None where no answer is public, or where its denominator is 0."""
        found = next((metric for metric in self.metrics if metric.primary), None)
        return found if found is not None and has_value(found) else None


def common(first: Answered, second: Answered) -> tuple[Metric, Metric] | None:
    """Both primary metrics over the samples that both were asked; None where there are none, or none that counts."""
    if [row.sample for row in first.rows] != [row.sample for row in second.rows]:
        asked = {row.sample for row in first.rows} & {row.sample for row in second.rows}
        first, second = (one.only(asked) for one in (first, second))
    if first.primary is None or second.primary is None:
        return None
    return first.primary, second.primary


def benchmark_figures(answered: Answered) -> Iterator[Figure]:
    """All of them; with metrics whose answers are not public, the reason in the primary one's place."""
    candidate, key, rows = answered.candidate, answered.benchmark.key, answered.rows
    if answered.metrics:
        yield from (official_figure(candidate, metric, {"benchmark": key}) for metric in answered.metrics)
    else:
        yield without_value(candidate, key, answered.benchmark, "undefined", CLOSED)
    labels = {"benchmark": key}
    yield _share(UNPARSED, candidate, rows, "unparsed", labels)
    yield _share(FAILED, candidate, rows, "failed", labels)
    if not answered.metrics:
        return
    open_rows = [row for row in rows if row.gold]
    yield from judged_figures(candidate, answered.benchmark, rows)
    yield from calibration_figures(candidate, key, open_rows)
    yield from yes_share_figures(candidate, key, open_rows)


def without_value(candidate: str, key: str, benchmark: Benchmark | None, status: Status, reason: str) -> Figure:
    """What stands in the place of a benchmark's primary metric."""
    if benchmark is None:
        made = absent(UNKNOWN, candidate, status, reason, {"benchmark": key})
        return msgspec.structs.replace(made, metric=key)
    name, _, version = next(iter(benchmark.definitions)).partition("@")
    definition = Definition(name, "accuracy", "", "higher", "images", "", "", int(version))
    made = absent(definition, candidate, status, reason, {"benchmark": key})
    return msgspec.structs.replace(made, metric=benchmark.primary)


def official_figure(candidate: str, metric: Metric, labels: Mapping[str, str]) -> Figure:
    """A benchmark's metric under its own name and definition, labelled with its own labels and these."""
    name, _, version = metric.definition.partition("@")
    definition = Definition(name, "accuracy", metric.unit, metric.direction, "images", "", "", int(version))
    labels = {**labels, **metric.labels}
    if not has_value(metric):
        made = absent(definition, candidate, "undefined", NO_DENOMINATOR, labels)
    else:
        found = estimate(metric.parts)
        made = figure(definition, candidate, found, labels, least=LEAST_IMAGES)
    return msgspec.structs.replace(made, metric=metric.name)


def _share(
    definition: Definition, candidate: str, rows: Sequence[AnswerRow], status: str, labels: Mapping[str, str]
) -> Figure:
    clusters = [row.image for row in rows]
    values = [float(row.status == status) for row in rows]
    images = len(set(clusters))
    found = Estimate(sum(values) / len(values), clustered_wilson(clusters, values), images)
    return figure(definition, candidate, found, labels, least=LEAST_IMAGES)
