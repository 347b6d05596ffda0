"""Which candidates no other one beats, over the headline figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fourways.core.figure import AXES, Axis, Figure


@dataclass(frozen=True, slots=True)
class Placed:
    """beaten_by: who is at least as good on every axis that this one has a value on, and better on one.

    measured: axes with a value; missing: those on which only others have one. No candidate beats another on an axis
    where it has no value itself.
    """

    candidate: str
    beaten_by: tuple[str, ...]
    measured: tuple[Axis, ...]
    missing: tuple[Axis, ...]

    @property
    def on_front(self) -> bool:
        return bool(self.measured) and not self.beaten_by


def pareto(figures: Iterable[Figure]) -> tuple[Placed, ...]:
    """Every candidate of the headline figures, in their order. By values alone: intervals may still overlap."""
    goodness: dict[str, dict[Axis, float]] = {}
    for figure in figures:
        if figure.headline:
            known = goodness.setdefault(figure.candidate, {})
            if figure.value is not None and figure.status == "ok":
                known[figure.axis] = figure.value if figure.direction == "higher" else -figure.value
    run = [axis for axis in AXES if any(axis in known for known in goodness.values())]
    return tuple(
        Placed(
            candidate,
            tuple(other for other, theirs in goodness.items() if other != candidate and _beats(theirs, mine)),
            tuple(axis for axis in run if axis in mine),
            tuple(axis for axis in run if axis not in mine),
        )
        for candidate, mine in goodness.items()
    )


def _beats(theirs: Mapping[Axis, float], mine: Mapping[Axis, float]) -> bool:
    as_good = bool(mine) and all(axis in theirs and theirs[axis] >= value for axis, value in mine.items())
    return as_good and any(theirs[axis] > value for axis, value in mine.items())
