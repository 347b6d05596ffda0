"""Accuracy: every benchmark's official metrics, and one aggregate over benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Benchmark, Metric, MetricPart
from fourways.core.figure import Figure, Status
from fourways.core.rows import AnswerRow
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.failures import Failures
from fourways.figures.linear import BOOTSTRAPPED, INTERVAL, bootstrapped, estimate
from fourways.figures.paired import DIFFERENCE, Pair, compare_pairs
from fourways.figures.seeds import seed_for
from fourways.stats import clustered_wilson

_KNOWN = registry.keys()
LEAST_IMAGES = 10
"""Below this a share says nothing that a person should act on."""

AGGREGATE = Definition(
    "aggregate",
    "accuracy",
    "fraction",
    "higher",
    "images",
    "unweighted mean over the run's benchmarks of the primary metric / its maximum",
    BOOTSTRAPPED,
    version=2,
)
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
DEFINITIONS = (AGGREGATE, UNPARSED, FAILED, DIFFERENCE)


def benchmark_definitions() -> Iterator[Definition]:
    """Those of the benchmarks' own metrics."""
    for key in _KNOWN:
        for definition, formula in registry.get(key).definitions.items():
            name, _, version = definition.partition("@")
            yield Definition(name, "accuracy", "", "higher", "images", formula, INTERVAL, int(version))


@dataclass(slots=True)
class Accuracy:
    """Collects answers; `figures` computes."""

    _rows: dict[str, dict[str, list[AnswerRow]]] = field(default_factory=dict)

    def add(self, row: AnswerRow) -> None:
        self._rows.setdefault(row.candidate, {}).setdefault(row.benchmark, []).append(row)

    def figures(self, failures: Failures) -> Iterator[Figure]:
        """All figures of the axis, candidate by candidate, then the pairs."""
        for rows in (rows for by_benchmark in self._rows.values() for rows in by_benchmark.values()):
            rows.sort(key=lambda row: row.sample)  # sums of floats depend on order; a resumed run's rows have another
        seen = [key for by_benchmark in self._rows.values() for key in by_benchmark]
        benchmarks = _ordered({*seen, *failures.benchmarks()})
        scored = [key for key in benchmarks if self._is_scored(key)]
        whole: dict[str, dict[str, list[AnswerRow]]] = {}
        for candidate in dict.fromkeys([*self._rows, *failures.candidates("accuracy")]):
            answers = self._rows.get(candidate, {})
            lost = failures.of_axis(candidate, "accuracy")
            if lost is not None:
                yield absent(AGGREGATE, candidate, *lost, {}, headline=True)
            primaries: dict[str, Metric] = {}
            for key in benchmarks:
                found, primary = _of_benchmark(candidate, key, answers.get(key, ()), failures)
                yield from found
                if primary is not None:
                    primaries[key] = primary
            if lost is None:
                yield _aggregate(candidate, scored, primaries, failures)
                if len(primaries) == len(scored):
                    whole[candidate] = {key: answers[key] for key in scored}
        if scored:
            yield from compare_pairs(whole, _pair)

    def _is_scored(self, key: str) -> bool:
        """False where someone answered, and no answer is public: such a benchmark belongs in no aggregate."""
        rows = [row for answers in self._rows.values() for row in answers.get(key, ())]
        return not rows or any(row.gold for row in rows)


def _ordered(keys: set[str]) -> list[str]:
    known = [key for key in _KNOWN if key in keys]
    return [*known, *sorted(keys.difference(known))]


def _benchmark(key: str) -> Benchmark | None:
    return registry.get(key) if key in _KNOWN else None


def _of_benchmark(
    candidate: str, key: str, rows: Sequence[AnswerRow], failures: Failures
) -> tuple[list[Figure], Metric | None]:
    """The figures of one benchmark, and its primary metric if it has one."""
    labels = {"benchmark": key}
    benchmark = _benchmark(key)
    lost = failures.of_benchmark(candidate, key)
    if lost is None and benchmark is None:
        lost = ("undefined", f"no benchmark '{key}' is known here")
    if lost is not None:
        return [_without_value(candidate, key, *lost)], None
    if not rows or benchmark is None:
        return [], None
    metrics = benchmark.metrics(rows)
    shares = [_share(UNPARSED, candidate, rows, "unparsed", labels), _share(FAILED, candidate, rows, "failed", labels)]
    if not metrics:
        return [_without_value(candidate, key, "undefined", "the answers are not public"), *shares], None
    primary = next(metric for metric in metrics if metric.primary)
    return [*(_official(candidate, key, metric) for metric in metrics), *shares], primary


def _without_value(candidate: str, key: str, status: Status, reason: str) -> Figure:
    """What stands in the place of a benchmark's primary metric."""
    benchmark = _benchmark(key)
    own = None if benchmark is None else next(iter(benchmark.definitions))
    definition = (
        AGGREGATE if own is None else Definition(own.partition("@")[0], "accuracy", "", "higher", "images", "", "")
    )
    made = absent(definition, candidate, status, reason, {"benchmark": key})
    return msgspec.structs.replace(made, metric=key if benchmark is None else benchmark.primary)


def _official(candidate: str, key: str, metric: Metric) -> Figure:
    """A benchmark's metric under its own name and definition."""
    name, _, version = metric.definition.partition("@")
    definition = Definition(name, "accuracy", metric.unit, "higher", "images", "", "", int(version))
    found = estimate(metric.parts)
    made = figure(definition, candidate, found, {"benchmark": key, **metric.labels}, least=LEAST_IMAGES)
    return msgspec.structs.replace(made, metric=metric.name)


def _share(
    definition: Definition, candidate: str, rows: Sequence[AnswerRow], status: str, labels: Mapping[str, str]
) -> Figure:
    clusters = [row.image for row in rows]
    values = [float(row.status == status) for row in rows]
    images = len(set(clusters))
    found = Estimate(sum(values) / len(values), clustered_wilson(clusters, values), images)
    return figure(definition, candidate, found, labels, least=LEAST_IMAGES)


def _aggregate(
    candidate: str, benchmarks: Sequence[str], primaries: Mapping[str, Metric], failures: Failures
) -> Figure:
    """The headline. A candidate that lacks a benchmark which others have is not compared by the rest."""
    missing = [key for key in benchmarks if key not in primaries]
    if not benchmarks:
        return absent(AGGREGATE, candidate, "undefined", "no benchmark has public answers", {}, headline=True)
    if missing:
        lost = [failures.of_benchmark(candidate, key) for key in missing]
        status: Status = "undefined" if all(one is not None and one[0] == "undefined" for one in lost) else "failed"
        reason = f"no figure for {', '.join(missing)}"
        return absent(AGGREGATE, candidate, status, reason, {}, headline=True)
    found = bootstrapped(_joined(list(primaries.values())), seed_for(AGGREGATE.id))
    labels = {"benchmarks": str(len(benchmarks))}
    return figure(AGGREGATE, candidate, found, labels, least=LEAST_IMAGES, headline=True)


def _joined(primaries: Sequence[Metric]) -> list[MetricPart]:
    """The parts of the mean of primary / maximum."""
    return [
        replace(part, coefficient=part.coefficient / metric.maximum / len(primaries))
        for metric in primaries
        for part in metric.parts
    ]


def _pair(first: Mapping[str, Sequence[AnswerRow]], second: Mapping[str, Sequence[AnswerRow]]) -> Pair | None:
    """Both aggregates over the samples that both were asked; None if a benchmark has none in common."""
    halves: tuple[list[Metric], list[Metric]] = ([], [])
    for key in first:
        asked = {row.sample for row in first[key]} & {row.sample for row in second[key]}
        benchmark = _benchmark(key)
        if not asked or benchmark is None:
            return None
        for half, rows in zip(halves, (first[key], second[key]), strict=True):
            common = sorted((row for row in rows if row.sample in asked), key=lambda row: row.sample)
            half.append(next(metric for metric in benchmark.metrics(common) if metric.primary))
    return Pair(_joined(halves[0]), _joined(halves[1]))
