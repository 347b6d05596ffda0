"""One candidate in two runs, or two candidates in two runs: their accuracy over the samples that both asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Metric
from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow
from fourways.core.run import BenchmarkRecord
from fourways.figures.accuracy import AGGREGATE, aggregated
from fourways.figures.official import Answered, common
from fourways.figures.paired import AGGREGATE_DIFFERENCE, PRIMARY_DIFFERENCE, Compared, Pair, compare
from fourways.figures.seeds import seed_for
from fourways.stats import holm

Answers = Mapping[str, Sequence[AnswerRow]]
"""Benchmark → its answers of one candidate in one run."""
Shared = Mapping[str, tuple[Metric, Metric]]
"""Benchmark ("": the aggregate of several) → its primary metric in the new run and in the old one."""


@dataclass(frozen=True, slots=True)
class Moved:
    """new minus old. p: adjusted (Holm) over the benchmarks and the aggregate of this candidate."""

    benchmark: str
    metric: Metric
    difference: Compared
    p: float


def shared_metrics(old: Answers, new: Answers, suite: Mapping[str, BenchmarkRecord]) -> Shared:
    """Of the benchmarks with public answers that both were asked, over the samples that both were asked. suite: the
    header's records, which know the columns of a table of one's own."""
    found: dict[str, tuple[Metric, Metric]] = {}
    for key in [key for key in old if key in new]:
        if not any(row.gold for row in old[key]):
            continue
        record = suite.get(key)
        try:
            benchmark = registry.get(key, record.columns if record is not None else None)
        except UserError:
            continue
        after, before = (Answered.of("", benchmark, rows[key]) for rows in (new, old))
        if (both := common(after, before)) is not None:
            found[key] = both
    if len(found) > 1:
        found[""] = (aggregated([new for new, _ in found.values()]), aggregated([old for _, old in found.values()]))
    return found


def moved(shared: Shared) -> dict[str, Moved]:
    """How far each metric moved from the old run to the new one."""
    compared = {
        key: compare(new, old, seed_for(new.definition if key else AGGREGATE.id)) for key, (new, old) in shared.items()
    }
    adjusted = holm([one.p for one in compared.values()])
    return {
        key: Moved(key, shared[key][0], found, p) for (key, found), p in zip(compared.items(), adjusted, strict=True)
    }


def pairs_of(shared: Shared, new: str, old: str) -> Iterator[Pair]:
    """What `pair_figures` takes. new, old: what the two are called in its verdicts."""
    for key, metrics in shared.items():
        definition = PRIMARY_DIFFERENCE if key else AGGREGATE_DIFFERENCE
        labels = {"benchmark": key, "of": metrics[0].name} if key else {}
        yield Pair(definition, new, old, metrics, labels)
