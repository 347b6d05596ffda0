"""Did a candidate get worse since an older run? Paired over the samples that both runs asked.

It must never compare different data or different rules: then the numbers would differ for another reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Metric
from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow, FailureRow, Row
from fourways.core.run import BenchmarkRecord, RunHeader
from fourways.figures.accuracy import AGGREGATE, aggregated
from fourways.figures.failures import Failures
from fourways.figures.linear import combined
from fourways.figures.official import Answered, common
from fourways.figures.paired import Compared, amount, compare
from fourways.figures.seeds import seed_for

_VERSIONS = ("prompt_version", "parser_version", "scorer_version")
_ALLOWANCE = 1e-9
"""A drop of exactly what is allowed passes, however it was added up."""


@dataclass(frozen=True, slots=True)
class Side:
    """One candidate in one run. name: what to call the run in messages."""

    name: str
    header: RunHeader
    candidate: str
    answers: Mapping[str, Sequence[AnswerRow]]
    failures: Failures

    @classmethod
    def of(cls, name: str, header: RunHeader, candidate: str, rows: Iterable[Row]) -> Side:
        """rows: of the run; those of other candidates and axes are passed over."""
        answers: dict[str, list[AnswerRow]] = {}
        failures = Failures()
        for row in rows:
            if isinstance(row, AnswerRow) and row.candidate == candidate:
                answers.setdefault(row.benchmark, []).append(row)
            elif isinstance(row, FailureRow) and row.candidate == candidate:
                failures.add(row)
        return cls(name, header, candidate, answers, failures)


@dataclass(frozen=True, slots=True)
class Gated:
    """A metric in both runs. benchmark "": the aggregate. Values and `difference` (run minus baseline) in the metric's
    unit; allowed: the drop that is, in the same unit."""

    benchmark: str
    metric: Metric
    baseline: float
    run: float
    difference: Compared
    allowed: float

    @property
    def drop(self) -> float:
        """How much worse the run is; negative where it is better."""
        worse = -1.0 if self.metric.direction == "lower" else 1.0
        return -worse * self.difference.estimate.value

    @property
    def dropped(self) -> bool:
        return self.drop > self.allowed + _ALLOWANCE * self.metric.maximum

    @property
    def words(self) -> str:
        """The verdict, and whether this n could have seen a drop that is not allowed."""
        unit = self.metric.unit
        allowed, sees = amount(self.allowed, unit), amount(self.difference.sees, unit)
        interval = self.difference.estimate.interval
        if self.dropped:
            sure = "" if interval is not None and not interval.contains(0.0) else "; it may be chance"
            return f"dropped by {amount(self.drop, unit)}, more than {allowed}{sure}"
        if self.difference.alike:
            return "every answer scored the same"
        if self.difference.sees <= self.allowed:
            return f"within {allowed}; this n sees {sees}"
        return f"within {allowed}, but this n could miss such a drop: it sees {sees} or more"


@dataclass(frozen=True, slots=True)
class Gate:
    """The outcome for one candidate. notes: what was not compared, and why."""

    candidate: str
    against: str
    compared: tuple[Gated, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        return not any(one.dropped for one in self.compared)


def gate(run: Side, baseline: Side, max_drop: float) -> Gate:
    """Every benchmark that the baseline has, and the aggregate over them where there are several.

    max_drop: 0 to 1, as a share of each metric's maximum. Raises UserError, naming the benchmark, where the runs cannot
    be compared: other data, other versions of prompt, parser or scorer, a benchmark that the run lost, no samples in
    common.
    """
    for side in (run, baseline):
        if (lost := side.failures.of_axis(side.candidate, "accuracy")) is not None:
            raise UserError(f"{side.name} has no accuracy of {side.candidate}: {lost[1]}")
    records = {record.key: record for record in run.header.suite}
    compared: list[Gated] = []
    pairs: list[tuple[Metric, Metric]] = []
    notes: list[str] = [f"{key} is not in {baseline.name}" for key in run.answers if key not in baseline.answers]
    for key in sorted(baseline.answers, key=_place):
        old = next((one for one in baseline.header.suite if one.key == key), None)
        if not any(row.gold for row in baseline.answers[key]):
            notes.append(f"{key}: the answers are not public")
            continue
        if baseline.failures.of_benchmark(baseline.candidate, key) is not None:
            notes.append(f"{key}: {baseline.name} lost it")
            continue
        _check_asked(key, run)
        _check_same(key, records.get(key), old, run.name, baseline.name)
        both = _both(key, run, baseline, old.columns if old is not None else None)
        notes += _apart(key, run, baseline)
        pairs.append(both)
        compared.append(_gated(key, *both, max_drop))
    if not compared:
        raise UserError(f"{baseline.name} has no benchmark of {baseline.candidate} to compare with")
    if len(pairs) > 1:
        whole = (aggregated([new for new, _ in pairs]), aggregated([old for _, old in pairs]))
        compared.append(_gated("", *whole, max_drop))
    return Gate(run.candidate, baseline.candidate, tuple(compared), tuple(notes))


def _place(key: str) -> tuple[int, str]:
    known = registry.keys()
    return (known.index(key) if key in known else len(known), key)


def _check_asked(key: str, run: Side) -> None:
    if (lost := run.failures.of_benchmark(run.candidate, key)) is not None:
        raise UserError(f"{run.name} lost {key} of {run.candidate}: {lost[1]}")
    if key not in run.answers:
        raise UserError(
            f"{run.name} did not ask {run.candidate} the benchmark {key}, which the baseline has",
            hint="run it with the suite of the baseline",
        )


def _check_same(key: str, new: BenchmarkRecord | None, old: BenchmarkRecord | None, run: str, baseline: str) -> None:
    if new is None or old is None:
        raise UserError(f"{run if new is None else baseline} does not say which data {key} was asked from")
    if new.sha256 != old.sha256:
        raise UserError(
            f"{key}: the data differs: {run} has {new.edition or new.path} (sha256 {new.sha256[:12]}…), "
            f"{baseline} has {old.edition or old.path} (sha256 {old.sha256[:12]}…)",
            hint="measure both on the same data",
        )
    for name in _VERSIONS:
        mine, theirs = getattr(new, name), getattr(old, name)
        if mine != theirs:
            raise UserError(
                f"{key}: {run} has {name.replace('_', ' ')} {mine}, {baseline} has {theirs}",
                hint="measure the baseline again with this version of Fourways",
            )


def _both(key: str, run: Side, baseline: Side, columns: Mapping[str, str] | None) -> tuple[Metric, Metric]:
    benchmark = registry.get(key, columns)
    new, old = (Answered.of(side.candidate, benchmark, side.answers[key]) for side in (run, baseline))
    both = common(new, old)
    if both is None:
        raise UserError(
            f"{key}: {run.name} and {baseline.name} asked no sample in common",
            hint="with --limit, both need the same --seed",
        )
    return both


def _apart(key: str, run: Side, baseline: Side) -> list[str]:
    """Samples that one run alone asked: whoever asks few must not pass for one that asked all."""
    mine, theirs = ({row.sample for row in side.answers[key]} for side in (run, baseline))
    both = len(mine & theirs)
    if both == len(mine | theirs):
        return []
    asked = f"{run.name} asked {len(mine):,}, {baseline.name} {len(theirs):,}"
    return [f"{key}: all but the {both:,} samples that both asked ({asked})"]


def _gated(key: str, new: Metric, old: Metric, max_drop: float) -> Gated:
    found = compare(new, old, seed_for(AGGREGATE.id if not key else new.definition))
    return Gated(key, new, combined(old.parts).value, combined(new.parts).value, found, max_drop * new.maximum)
