"""What two runs say of each other: differences, and a verdict for each axis, with its reasons."""

from __future__ import annotations

from typing import Literal

import msgspec

from fourways.core.figure import Figure

COMPARISON_SCHEMA = "fourways.comparison/v1"
SAME = "same answers"
"""A label of a paired test: how many answers say the same in both runs, such as `40 of 40`."""

Verdict = Literal["reproduced", "not reproduced", "not comparable"]
"""not comparable: the two cannot say anything of each other (other hardware class, driver or versions, a machine less
steady than the effect, nothing measured); it is never used for a difference that was seen."""

Ground = Literal["hashes", "accuracy", "latency", "memory", "tuning"]


class AxisVerdict(msgspec.Struct, frozen=True):
    """The verdict on one candidate and ground. reasons: in words, each with its numbers; never empty. statistics: name
    → value, for machines (a ratio of medians with its interval, agreement, p, …)."""

    candidate: str
    ground: Ground
    verdict: Verdict
    reasons: tuple[str, ...]
    statistics: dict[str, float] = {}


class Difference(msgspec.Struct, frozen=True):
    """Something of the headers that is not alike. where: dotted path. None: not there."""

    where: str
    old: str | None
    new: str | None


class FigurePair(msgspec.Struct, frozen=True):
    """The same figure of both runs; None where one run lacks it."""

    old: Figure | None
    new: Figure | None


class Comparison(msgspec.Struct, frozen=True):
    """Two runs side by side. old, new: run ids. verdicts: of a run that was made to repeat the other, empty between any
    two. tests: new minus old (or new / old) with interval and verdict in words, where both measured the same. notes:
    what was not compared, and why."""

    schema: str
    old: str
    new: str
    verdicts: tuple[AxisVerdict, ...]
    differences: tuple[Difference, ...]
    figures: tuple[FigurePair, ...]
    tests: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
