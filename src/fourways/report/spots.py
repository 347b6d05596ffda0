"""Pictures of marks with upright intervals: reliability diagrams, and accuracy over a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fourways.report.charts import BOTTOM, HEIGHT, axes, x_frame, y_frame
from fourways.report.markup import Child, Html
from fourways.report.plot import (
    WIDTH,
    Linear,
    Scale,
    label,
    line,
    mark,
    panel,
    path,
    series,
    short,
    text_width,
)

_FLOOR = HEIGHT - BOTTOM - 4


@dataclass(frozen=True, slots=True)
class Spot:
    """A value at x with its interval (None: not defined)."""

    series: int
    name: str
    x: float
    y: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Bin:
    """sure: mean confidence of its answers; right: the share of them that were right."""

    sure: float
    right: float
    interval: tuple[float, float] | None
    n: int


def reliability(title: Child, index: int, bins: Sequence[Bin], *, about: str) -> Html:
    """bins: by growing confidence. Where the numbers of two bins would touch, that of the smaller one is left to
    `about`."""
    x, y = Linear(0.0, 1.0, *x_frame()), Linear(0.0, 1.0, *y_frame())
    drawn = [axes(x, y, "mean confidence; up: share right")]
    drawn.append(line(x.at(0.0), y.at(0.0), x.at(1.0), y.at(1.0), "reference"))
    held = [Spot(index, "", one.sure, one.right, one.interval) for one in bins]
    drawn.append(series(index, path([(x.at(s.x), y.at(s.y)) for s in held], "curve"), *_marks(held, x, y)))
    taken: list[tuple[float, float]] = []
    for one in sorted(bins, key=lambda one: -one.n):
        half = text_width(short(one.n)) / 2
        at = min(max(x.at(one.sure), x.at(0.0) + half), WIDTH - half)
        if all(at + half < left or at - half > right for left, right in taken):
            drawn.append(label(at, _FLOOR, short(one.n), anchor="middle", kind="named muted"))
            taken.append((at - half - 3, at + half + 3))
    return panel(title, HEIGHT, *drawn, about=about)


def spots(title: Child, lines: Sequence[Sequence[Spot]], unit: str, *, x_label: str, about: str) -> Html:
    """Marks joined line by line, each line by growing x. A share is written in percent."""
    most = 100.0 if unit == "fraction" else 1.0
    scaled = [
        [
            Spot(s.series, s.name, s.x, s.y * most, s.interval and (s.interval[0] * most, s.interval[1] * most))
            for s in held
        ]
        for held in lines
    ]
    every = [spot for held in scaled for spot in held]
    x = Linear(*_around([s.x for s in every]), *x_frame())
    y = Linear(*_around([v for s in every for v in (s.y, *(s.interval or ()))]), *y_frame())
    drawn = [axes(x, y, x_label)]
    for held in scaled:
        drawn.append(path([(x.at(s.x), y.at(s.y)) for s in held], "reference"))
        drawn += [series(s.series, *_marks([s], x, y)) for s in held]
    return panel(title, HEIGHT, *drawn, about=about)


def _marks(held: Sequence[Spot], x: Scale, y: Scale) -> list[Html]:
    drawn: list[Html] = []
    for spot in held:
        if spot.interval is not None:
            at, (low, high) = x.at(spot.x), spot.interval
            drawn.append(line(at, y.at(low), at, y.at(high), "whisker"))
        drawn.append(mark(spot.series, x.at(spot.x), y.at(spot.y)))
    return drawn


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = max((high - low) * 0.15, high * 0.02, 1e-6)
    return max(0.0, low - room), high + room
