"""Accuracy: every benchmark's figures, one aggregate over benchmarks, and the candidates two by two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from sys import intern

import msgspec

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Benchmark, Metric
from fourways.benchmarks.own import KINDS
from fourways.core.errors import UserError
from fourways.core.figure import Figure, Status
from fourways.core.rows import AnswerRow
from fourways.core.run import BenchmarkRecord
from fourways.figures import calibration, judged, normalised, official, paired, yes_share
from fourways.figures.definition import Definition, absent, figure
from fourways.figures.failures import Failures
from fourways.figures.linear import BOOTSTRAPPED, INTERVAL, bootstrapped
from fourways.figures.official import Answered, benchmark_figures, common, without_value
from fourways.figures.paired import AGGREGATE_DIFFERENCE, LEAST_IMAGES, PRIMARY_DIFFERENCE, Pair, pair_figures
from fourways.figures.seeds import seed_for

_KNOWN = registry.keys()
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
DEFINITIONS = (
    AGGREGATE,
    *official.DEFINITIONS,
    *judged.DEFINITIONS,
    *calibration.DEFINITIONS,
    *yes_share.DEFINITIONS,
    *normalised.DEFINITIONS,
    *paired.DEFINITIONS,
)

Answers = Mapping[str, Answered]
"""Benchmark → what one candidate answered."""


def benchmark_definitions() -> Iterator[Definition]:
    """Those of the metrics of all benchmarks, and of tables that are given by path."""
    for key in (*_KNOWN, *(f"{kind}:any" for kind in KINDS)):
        for definition, formula in registry.get(key).definitions.items():
            name, _, version = definition.partition("@")
            yield Definition(name, "accuracy", "", "higher", "images", formula, INTERVAL, int(version))


@dataclass(slots=True)
class Accuracy:
    """Collects answers; `figures` computes. suite: what the run's header says of its benchmarks."""

    suite: Mapping[str, BenchmarkRecord] = field(default_factory=dict)
    _rows: dict[str, dict[str, list[AnswerRow]]] = field(default_factory=dict)

    def add(self, row: AnswerRow) -> None:
        """Keeps what figures are made of: a run may have millions of answers, and they all lie here at once."""
        self._rows.setdefault(row.candidate, {}).setdefault(row.benchmark, []).append(_lean(row))

    def figures(self, failures: Failures) -> Iterator[Figure]:
        """All figures of the axis: candidate by candidate, then the normalised ones, then the pairs."""
        keys = self._keys(failures)
        benchmarks = {key: self._benchmark(key) for key in keys}
        scored = [key for key in keys if self._is_scored(key)]
        told: dict[str, Answers] = {}
        made: list[Figure] = []
        primaries: dict[str, list[Figure]] = {}
        for candidate in dict.fromkeys([*self._rows, *failures.candidates("accuracy")]):
            answers = self._answers(candidate, benchmarks, failures)
            lost = failures.of_axis(candidate, "accuracy")
            if lost is not None:
                made.append(absent(AGGREGATE, candidate, *lost, {}, headline=True))
            for key, benchmark in benchmarks.items():
                found = list(_of_benchmark(candidate, key, benchmark, answers.get(key), failures))
                made += found
                primaries.setdefault(key, []).extend(found[:1])
            if lost is None:
                made.append(_aggregate(candidate, scored, answers, failures))
                told[candidate] = answers
        yield from made
        for key in scored:
            yield from normalised.normalised_figures(_primary(primaries[key]), self.suite.get(key), made)
        yield from pair_figures([*_pairs(told, scored)])

    def _keys(self, failures: Failures) -> list[str]:
        """Benchmarks that were asked or lost: the known ones first, in the order of tables."""
        seen = {key for answers in self._rows.values() for key in answers} | set(failures.benchmarks())
        known = [key for key in _KNOWN if key in seen]
        return [*known, *sorted(seen.difference(known))]

    def _benchmark(self, key: str) -> Benchmark | None:
        record = self.suite.get(key)
        try:
            return registry.get(key, record.columns if record is not None else None)
        except UserError:
            return None

    def _answers(
        self, candidate: str, benchmarks: Mapping[str, Benchmark | None], failures: Failures
    ) -> dict[str, Answered]:
        """What was asked whole, of benchmarks that are known."""
        found = {}
        for key, rows in self._rows.get(candidate, {}).items():
            benchmark = benchmarks[key]
            if benchmark is not None and failures.of_benchmark(candidate, key) is None:
                found[key] = Answered.of(candidate, benchmark, rows)
        return found

    def _is_scored(self, key: str) -> bool:
        """False where someone answered, and no answer is public: such a benchmark belongs in no aggregate."""
        asked = [answers[key] for answers in self._rows.values() if key in answers]
        return not asked or any(row.gold for rows in asked for row in rows)


def _lean(row: AnswerRow) -> AnswerRow:
    """Without the words and numbers that no metric needs (`Benchmark.metrics` names those it does), and with one copy
    of what many rows have in common."""
    return msgspec.structs.replace(
        row,
        candidate=intern(row.candidate),
        benchmark=intern(row.benchmark),
        group=intern(row.group),
        image=intern(row.image),
        category=intern(row.category),
        gold=tuple(intern(one) if isinstance(one, str) else one for one in row.gold),
        question="",
        visuals=(),
        prompt_sha256="",
    )


def _of_benchmark(
    candidate: str, key: str, benchmark: Benchmark | None, answered: Answered | None, failures: Failures
) -> Iterator[Figure]:
    """The primary metric's figure first; nothing where nothing was asked and nothing was lost."""
    lost = failures.of_benchmark(candidate, key)
    if lost is None and benchmark is None:
        lost = ("undefined", f"no benchmark '{key}' is known here")
    if lost is not None:
        yield without_value(candidate, key, benchmark, *lost)
    elif answered is not None:
        yield from benchmark_figures(answered)


def _primary(figures: Sequence[Figure]) -> list[Figure]:
    return [figure for figure in figures if set(figure.labels) == {"benchmark"}]


def _aggregate(candidate: str, benchmarks: Sequence[str], answers: Answers, failures: Failures) -> Figure:
    """The headline. A candidate that lacks a benchmark which others have is not compared by the rest."""
    primaries = {key: answers[key].primary if key in answers else None for key in benchmarks}
    missing = [key for key, primary in primaries.items() if primary is None]
    if not benchmarks:
        return absent(AGGREGATE, candidate, "undefined", "no benchmark has public answers", {}, headline=True)
    if missing:
        lost = [failures.of_benchmark(candidate, key) for key in missing]
        status: Status = "undefined" if all(one is not None and one[0] == "undefined" for one in lost) else "failed"
        reason = f"no figure for {', '.join(missing)}"
        return absent(AGGREGATE, candidate, status, reason, {}, headline=True)
    whole = aggregated([primary for primary in primaries.values() if primary is not None])
    labels = {"benchmarks": str(len(benchmarks))}
    found = bootstrapped(whole.parts, seed_for(AGGREGATE.id))
    return figure(AGGREGATE, candidate, found, labels, least=LEAST_IMAGES, headline=True)


def aggregated(primaries: Sequence[Metric]) -> Metric:
    """The mean of primary / maximum, as a metric of its own."""
    parts = tuple(
        replace(part, coefficient=part.coefficient / metric.maximum / len(primaries))
        for metric in primaries
        for part in metric.parts
    )
    return Metric(AGGREGATE.name, AGGREGATE.id, AGGREGATE.unit, 1.0, parts, primary=True)


def _pairs(told: Mapping[str, Answers], benchmarks: Sequence[str]) -> Iterator[Pair]:
    """Every two candidates on the aggregate, where both have it, and on each benchmark that both have. Of a single
    benchmark the aggregate says the same, and testing it twice would only raise the bar."""
    separate = [] if len(benchmarks) < 2 else benchmarks
    for first, second in combinations(told, 2):
        mine, theirs = told[first], told[second]
        shared = {key: common(mine[key], theirs[key]) for key in benchmarks if key in mine and key in theirs}
        if benchmarks and len(shared) == len(benchmarks):
            yield Pair(AGGREGATE_DIFFERENCE, first, second, _whole([*shared.values()]), {})
        for key in separate:
            if key in shared:
                primary = mine[key].benchmark.primary
                yield Pair(PRIMARY_DIFFERENCE, first, second, shared[key], {"benchmark": key, "of": primary})


def _whole(shared: Sequence[tuple[Metric, Metric] | None]) -> tuple[Metric, Metric] | None:
    both = [one for one in shared if one is not None]
    if len(both) < len(shared):
        return None
    return aggregated([first for first, _ in both]), aggregated([second for _, second in both])
