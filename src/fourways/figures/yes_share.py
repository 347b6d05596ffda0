"""Does a candidate say yes more often than it is true? Two shares beside each other, where answers are yes and no."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.figures.definition import Definition, Estimate, figure
from fourways.figures.linear import INTERVAL
from fourways.figures.paired import LEAST_IMAGES
from fourways.stats import clustered_wilson

YES_SHARE = Definition(
    "yes_share",
    "accuracy",
    "fraction",
    "none",
    "images",
    "answers that are yes / answers; among `replies`: those that the rule could read; among `gold`: the true answers "
    "of the same questions, read or not",
    INTERVAL,
)
DEFINITIONS = (YES_SHARE,)
_WORDS = frozenset({"yes", "no"})


def yes_share_figures(candidate: str, key: str, rows: Sequence[AnswerRow]) -> Iterator[Figure]:
    """Nothing unless every true answer is yes or no. rows: those with a public answer."""
    if not rows or not all(len(row.gold) == 1 and _word(row.gold[0]) in _WORDS for row in rows):
        return
    read = [row for row in rows if isinstance(row.parsed, str) and _word(row.parsed) in _WORDS]
    if read:
        yield _share(candidate, key, "replies", read, [_word(row.parsed) == "yes" for row in read])
    yield _share(candidate, key, "gold", rows, [_word(row.gold[0]) == "yes" for row in rows])


def _word(answer: object) -> str:
    return answer.strip().lower() if isinstance(answer, str) else ""


def _share(candidate: str, key: str, among: str, rows: Sequence[AnswerRow], yes: Sequence[bool]) -> Figure:
    clusters = [row.image for row in rows]
    found = Estimate(sum(yes) / len(yes), clustered_wilson(clusters, yes), len(set(clusters)))
    return figure(YES_SHARE, candidate, found, {"benchmark": key, "among": among}, least=LEAST_IMAGES)
