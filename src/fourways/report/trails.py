"""A picture of a sweep: points with their intervals, joined in the order of the loads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fourways.report.charts import HEIGHT, axes, x_frame, y_frame
from fourways.report.markup import Child, Html, tag
from fourways.report.plot import (
    DASHES,
    SERIES,
    Linear,
    Logarithmic,
    Scale,
    bounds,
    line,
    mark,
    panel,
    path,
    series,
)

Span = tuple[float, float] | None
WIDE = 30.0
"""From this ratio of greatest to least on, a scale is logarithmic."""


@dataclass(frozen=True, slots=True)
class Point:
    """Values with their intervals (None: not defined). ringed: it is marked with a ring."""

    x: float
    y: float
    x_span: Span = None
    y_span: Span = None
    ringed: bool = False


@dataclass(frozen=True, slots=True)
class Trail:
    """points: in the order of the loads."""

    series: int
    points: Sequence[Point]


def trails(
    title: Child,
    content: Sequence[Trail],
    *,
    x_label: str,
    about: str,
    reference: float | Literal["equal"] | None = None,
    top: float | None = None,
) -> Html:
    """One line a candidate. reference: a dashed line at that height, or where y is x. top: y then goes from 0 to it."""
    points = [point for trail in content for point in trail.points]
    x = scale_over([v for p in points for v in (p.x, *(p.x_span or ()))], *x_frame())
    heights = [v for p in points for v in (p.y, *(p.y_span or ()))]
    y = Linear(0.0, top, *y_frame()) if top is not None else scale_over(heights, *y_frame())
    drawn = [axes(x, y, x_label)]
    ends = min((p.x for p in points), default=0.0), max((p.x for p in points), default=1.0)
    if reference == "equal":
        drawn.append(path([(x.at(at), y.at(at)) for at in _steps(*ends)], "reference"))
    elif reference is not None:
        drawn.append(line(x_frame()[0], y.at(reference), x_frame()[1], y.at(reference), "reference"))
    drawn += [series(trail.series, *_drawn(trail, x, y)) for trail in content]
    return panel(title, HEIGHT, *drawn, about=about)


def scale_over(values: Sequence[float], start: float, end: float) -> Scale:
    """From zero; logarithmic where the values spread over more than a factor of `WIDE`."""
    above = [v for v in values if v > 0 and math.isfinite(v)]
    if above and max(above) / min(above) > WIDE:
        return Logarithmic(min(above) * 0.9, max(above) * 1.1, start, end)
    return Linear(*bounds(above), start, end)


def _steps(low: float, high: float) -> list[float]:
    """From end to end: where one axis is logarithmic and the other is not, y = x is no straight line."""
    return [low + (high - low) * i / 24 for i in range(25)]


def _drawn(trail: Trail, x: Scale, y: Scale) -> list[Html]:
    drawn = []
    if len(trail.points) > 1:
        route = [(x.at(p.x), y.at(p.y)) for p in trail.points]
        drawn.append(path(route, "curve", DASHES[trail.series % SERIES]))
    for p in trail.points:
        at = (x.at(p.x), y.at(p.y))
        if p.x_span:
            drawn.append(line(x.at(p.x_span[0]), at[1], x.at(p.x_span[1]), at[1], "whisker"))
        if p.y_span:
            drawn.append(line(at[0], y.at(p.y_span[0]), at[0], y.at(p.y_span[1]), "whisker"))
        drawn.append(mark(trail.series, *at, 4.0))
        if p.ringed:
            drawn.append(tag("circle", cx=at[0], cy=at[1], r=9.0, class_="ring"))
    return drawn
