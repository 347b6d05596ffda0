"""The figures of two runs in pairs, and tests of those that rest on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from fourways.core.figure import Figure
from fourways.core.verdict import SAME, FigurePair
from fourways.evidence.comparison.accuracy import said
from fourways.evidence.comparison.facts import Both
from fourways.figures.across import pairs_of, shared_metrics
from fourways.figures.paired import pair_figures

_Key = tuple[str, str, str, tuple[tuple[str, str], ...]]


def figure_pairs(both: Both) -> Iterator[FigurePair]:
    """Headlines first, then in the order of the new run; those of one run only at the end. Differences within a run
    are left out."""
    old, new = _by_key(both.old_run.figures, both.old_name), _by_key(both.new_run.figures, both.new_name)
    shared = [FigurePair(old.get(key), figure) for key, figure in new.items()]
    alone = [FigurePair(figure, None) for key, figure in old.items() if key not in new]
    yield from sorted([*shared, *alone], key=lambda pair: not any(f is not None and f.headline for f in _of(pair)))


def tests(pairs: Sequence[Both]) -> tuple[Figure, ...]:
    """New minus old over the samples that both asked, adjusted over all of them. Labelled with both names, and with how
    many answers say the same."""
    asked, agreed = [], []
    for both in pairs:
        suite = {record.key: record for record in both.new_run.header.suite}
        shared = shared_metrics(both.old.answers, both.new.answers, suite)
        if len(shared) == 1:
            shared = {"": next(iter(shared.values()))}
        found = list(pairs_of(shared, f"{both.new_name} (new)", f"{both.old_name} (old)"))
        asked += found
        agreed += [_agreed(both, pair.labels.get("benchmark")) for pair in found]
    figures = pair_figures(asked)
    return tuple(
        msgspec.structs.replace(figure, labels={**figure.labels, **same})
        for figure, same in zip(figures, agreed, strict=True)
    )


def _agreed(both: Both, benchmark: str | None) -> dict[str, str]:
    """benchmark: None for all of them. Empty where no sample was asked in both."""
    same = count = 0
    for key in both.old.answers if benchmark is None else (benchmark,):
        old, new = ({row.sample: said(row) for row in run.answers.get(key, ())} for run in (both.old, both.new))
        shared = old.keys() & new.keys()
        count += len(shared)
        same += sum(old[sample] == new[sample] for sample in shared)
    return {SAME: f"{same:,} of {count:,}"} if count else {}


def _of(pair: FigurePair) -> tuple[Figure | None, Figure | None]:
    return pair.old, pair.new


def _by_key(figures: Sequence[Figure], candidate: str) -> dict[_Key, Figure]:
    return {
        (one.axis, one.metric, one.definition, tuple(sorted(one.labels.items()))): one
        for one in figures
        if one.candidate == candidate and "versus" not in one.labels
    }
