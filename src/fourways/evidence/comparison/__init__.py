"""What two runs say of each other: differences of their headers, figures side by side, and a verdict for each ground.

It reads runs that are there and measures nothing; `compare/reproduce.py` makes the second one. A verdict is "not
comparable" where the two cannot say anything of each other, never where a difference was seen.

Public face: `Facts`, `Both` (facts.py); `judge` (a run and its repetition), `side_by_side` (any two runs), `matched`.
One file a ground: hashes.py, accuracy.py, latency.py, memory.py, tuning.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fourways.core.errors import UserError
from fourways.core.verdict import COMPARISON_SCHEMA, AxisVerdict, Comparison
from fourways.evidence.comparison.accuracy import accuracy
from fourways.evidence.comparison.differences import differences
from fourways.evidence.comparison.facts import Both, Facts
from fourways.evidence.comparison.hashes import hashes
from fourways.evidence.comparison.latency import latency
from fourways.evidence.comparison.memory import memory
from fourways.evidence.comparison.side_by_side import figure_pairs, tests
from fourways.evidence.comparison.tuning import tuning

__all__ = ["Both", "Facts", "judge", "matched", "side_by_side"]


def judge(old: Facts, new: Facts, further: Sequence[Facts] = ()) -> Comparison:
    """A run against its repetition: a verdict for each candidate of the new run, on the hashes and on each axis that
    the new run was asked for. further: fresh starts of the latency axis beside the new run's own.

    Raises UserError if no candidate of the one is in the other.
    """
    pairs = [Both(old, new, name, name) for name in new.names if name in old.names]
    if not pairs:
        raise UserError(f"no candidate of {new.name} is in {old.name}", hint="compare any two runs: fourways diff")
    verdicts = [verdict for both in pairs for verdict in _verdicts(both, further)]
    missing = [f"{name} is only in the old run" for name in old.names if name not in new.names]
    return _comparison(pairs, tuple(verdicts), tuple(missing))


def side_by_side(old: Facts, new: Facts, pairs: Sequence[tuple[str, str]]) -> Comparison:
    """Any two runs. pairs: (name in the new run, name in the old one), at least one."""
    made = [Both(old, new, theirs, mine) for mine, theirs in pairs]
    return _comparison(made, (), tuple(_alone(old, new, pairs)))


def matched(old: Facts, new: Facts, asked: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(name in the new run, name in the old one). asked: words NAME or NEW=OLD; without any, all names that both have,
    or the only candidates of both. Raises UserError naming the word, or both runs' candidates."""
    if asked:
        return [_pair(word, old, new) for word in asked]
    if shared := [name for name in new.names if name in old.names]:
        return [(name, name) for name in shared]
    if len(old.names) == len(new.names) == 1:
        return [(new.names[0], old.names[0])]
    raise UserError(
        f"no candidate is in both: {new.name} has {', '.join(new.names)}; {old.name} has {', '.join(old.names)}",
        hint="say which: --candidate NEW=OLD",
    )


def _pair(word: str, old: Facts, new: Facts) -> tuple[str, str]:
    mine, equals, theirs = word.partition("=")
    theirs = theirs if equals else mine
    for wanted, run in ((mine, new), (theirs, old)):
        if wanted not in run.names:
            raise UserError(
                f"--candidate: {run.name} has no candidate {wanted!r}",
                hint=f"it has {', '.join(run.names)}; or: NEW=OLD",
            )
    return mine, theirs


def _verdicts(both: Both, further: Sequence[Facts]) -> Iterator[AxisVerdict]:
    yield hashes(both)
    asked = both.new_run.header.axes
    if "accuracy" in asked:
        yield accuracy(both)
    if "latency" in asked:
        yield latency(both, further)
    if "memory" in asked:
        yield memory(both)
    if "tuning" in asked:
        yield tuning(both)


def _comparison(pairs: Sequence[Both], verdicts: tuple[AxisVerdict, ...], notes: tuple[str, ...]) -> Comparison:
    old, new = pairs[0].old_run, pairs[0].new_run
    names = [(both.new_name, both.old_name) for both in pairs]
    return Comparison(
        schema=COMPARISON_SCHEMA,
        old=old.header.run_id,
        new=new.header.run_id,
        verdicts=verdicts,
        differences=differences(old.header, new.header, names),
        figures=tuple(pair for both in pairs for pair in figure_pairs(both)),
        tests=tests(pairs),
        notes=notes,
    )


def _alone(old: Facts, new: Facts, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for run, at in ((new, 0), (old, 1)):
        compared = {pair[at] for pair in pairs}
        yield from (f"{name} is only in {run.name}, or was not asked for" for name in run.names if name not in compared)
