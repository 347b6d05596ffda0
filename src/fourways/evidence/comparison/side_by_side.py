"""The figures of two runs in pairs, and tests of those that rest on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fourways.core.figure import Figure
from fourways.core.verdict import FigurePair
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
    """New minus old over the samples that both asked, adjusted over all of them. Labelled with both names."""
    asked = []
    for both in pairs:
        suite = {record.key: record for record in both.new_run.header.suite}
        shared = shared_metrics(both.old.answers, both.new.answers, suite)
        if len(shared) == 1:
            shared = {"": next(iter(shared.values()))}
        asked += list(pairs_of(shared, f"{both.new_name} (new)", f"{both.old_name} (old)"))
    return tuple(pair_figures(asked))


def _of(pair: FigurePair) -> tuple[Figure | None, Figure | None]:
    return pair.old, pair.new


def _by_key(figures: Sequence[Figure], candidate: str) -> dict[_Key, Figure]:
    return {
        (one.axis, one.metric, one.definition, tuple(sorted(one.labels.items()))): one
        for one in figures
        if one.candidate == candidate and "versus" not in one.labels
    }
