"""An interval of a sum from the intervals of its terms, for where resampling cannot help: every value the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from fourways.stats.interval import Interval


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient x mean, and the mean's interval."""

    coefficient: float
    mean: float
    interval: Interval


def recovered_interval(groups: Sequence[Sequence[Term]]) -> Interval:
    """The interval of the sum of all terms. Groups are independent of each other; the terms of one group (measured on
    the same images) are taken to err together, which is cautious.

    Source: Zou & Donner (2008), Construction of confidence limits about effect measures, Statistics in Medicine 27(10),
    the method of variance estimates recovery.
    """
    value = sum(term.coefficient * term.mean for group in groups for term in group)
    below = hypot(*(sum(_reach(term)[0] for term in group) for group in groups))
    above = hypot(*(sum(_reach(term)[1] for term in group) for group in groups))
    return Interval(value - below, value + above)


def _reach(term: Term) -> tuple[float, float]:
    """How far the term goes below and above its value."""
    down, up = term.mean - term.interval.low, term.interval.high - term.mean
    if term.coefficient < 0:
        down, up = up, down
    return abs(term.coefficient) * down, abs(term.coefficient) * up
