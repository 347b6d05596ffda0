"""A metric's definition, and the one way a figure is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from fourways.core.figure import Axis, Figure, Status
from fourways.stats import Interval

Direction = Literal["higher", "lower", "none"]


@dataclass(frozen=True, slots=True)
class Definition:
    """name@version of a metric, and in words how its value and its interval come about.

    A change of either makes a new version. n_unit: what is counted as independent.
    """

    name: str
    axis: Axis
    unit: str
    direction: Direction
    n_unit: str
    formula: str
    interval: str
    version: int = 1

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def text(self) -> str:
        return f"{self.formula}. Interval: {self.interval}."


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with what it rests on. interval None: n is too small to carry one. note: what a reader must know; where
    there is no interval, why. marked: what a reader must know in either case."""

    value: float
    interval: Interval | None
    n: int
    note: str | None = None
    marked: str | None = None


def figure(
    definition: Definition,
    candidate: str,
    estimate: Estimate,
    labels: Mapping[str, str],
    *,
    least: int = 2,
    headline: bool = False,
    n_unit: str | None = None,
) -> Figure:
    """A figure that has a value: "ok", or "too_few" below `least` units or without an interval."""
    enough = estimate.n >= least and estimate.interval is not None
    unit = n_unit or definition.n_unit
    said = estimate.note if enough else estimate.note or _too_few(estimate.n, least, unit)
    reason = "; ".join(part for part in (said, estimate.marked) if part) or None
    made = _made(definition, candidate, "ok" if enough else "too_few", labels, n=estimate.n, reason=reason)
    low, high = estimate.interval or (None, None)
    return replace(made, value=estimate.value, low=low, high=high, n_unit=unit, headline=headline)


def _too_few(n: int, least: int, unit: str) -> str:
    return f"fewer than {least} {unit}" if n < least else f"{n} {unit} cannot carry an interval"


def stated(definition: Definition, candidate: str, value: float, labels: Mapping[str, str]) -> Figure:
    """A figure that was said or worked out, once: it has no interval, because nothing was drawn at random."""
    return replace(_made(definition, candidate, "ok", labels, n=1), value=value)


def absent(
    definition: Definition,
    candidate: str,
    status: Status,
    reason: str,
    labels: Mapping[str, str],
    *,
    n: int = 0,
    headline: bool = False,
) -> Figure:
    """A figure without a value: "undefined" or "failed", and why."""
    return replace(_made(definition, candidate, status, labels, n=n, reason=reason), headline=headline)


def _made(
    definition: Definition,
    candidate: str,
    status: Status,
    labels: Mapping[str, str],
    *,
    n: int,
    reason: str | None = None,
) -> Figure:
    """What every figure has from its definition; no value yet."""
    return Figure(
        axis=definition.axis,
        candidate=candidate,
        metric=definition.name,
        definition=definition.id,
        unit=definition.unit,
        direction=definition.direction,
        value=None,
        low=None,
        high=None,
        n=n,
        n_unit=definition.n_unit,
        status=status,
        reason=reason,
        labels=dict(labels),
    )
