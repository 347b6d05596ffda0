"""Pictures with axes: curves (distributions, losses, norms) and a scatter with bubbles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from fourways.report.markup import Html, join, tag
from fourways.report.plot import (
    DASHES,
    SERIES,
    WIDTH,
    Linear,
    Logarithmic,
    Scale,
    bounds,
    label,
    line,
    mark,
    panel,
    path,
    series,
    short,
    text_width,
)

LEFT, RIGHT, TOP, BOTTOM = 42.0, 12.0, 12.0, 40.0
HEIGHT = 230.0
MOST_POINTS = 240

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Curve:
    """points: (x, y) by growing x. band: (x, low, high), drawn pale beneath."""

    series: int
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, slots=True)
class Bubble:
    """A point with its two intervals (None: not defined); area stands for `size`."""

    series: int
    name: str
    x: float
    y: float
    x_interval: tuple[float, float] | None
    y_interval: tuple[float, float] | None
    size: float | None


def thin(items: Sequence[T], most: int = MOST_POINTS) -> list[T]:
    """At most `most` of the items, evenly taken, first and last kept."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def ecdf(values: Sequence[float], beyond: int = 0) -> list[tuple[float, float]]:
    """The steps of the empirical distribution: at each value, the share of all up to it. beyond: how many more have no
    value and lie above every other (requests that failed); with them the curve ends below 1."""
    ordered = sorted(values)
    number = len(ordered) + beyond
    steps = [(0.0, 0.0)] if not ordered else [(ordered[0], 0.0)]
    for rank, value in enumerate(ordered, start=1):
        steps += [(value, (rank - 1) / number), (value, rank / number)]
    return steps


def curves(title: str, content: Sequence[Curve], *, x: Scale, y: Scale, x_label: str, about: str) -> Html:
    """Lines over two axes. The scales must map into the frame (`x_frame`, `y_frame`)."""
    drawn = [axes(x, y, x_label)]
    for curve in content:
        drawn.append(series(curve.series, *_curve(curve, x, y)))
    return panel(title, HEIGHT, *drawn, about=about)


def x_frame() -> tuple[float, float]:
    return LEFT, WIDTH - RIGHT


def y_frame() -> tuple[float, float]:
    return HEIGHT - BOTTOM, TOP


def x_from(values: Sequence[float]) -> Scale:
    """From zero; logarithmic where the values spread over more than a factor of 30."""
    above = [v for v in values if v > 0 and math.isfinite(v)]
    if above and max(above) / min(above) > 30:
        return Logarithmic(min(above) * 0.9, max(above) * 1.1, *x_frame())
    return Linear(*bounds(above), *x_frame())


def axes(x: Scale, y: Scale, x_label: str) -> Html:
    """Grid lines, ticks and the label of the level axis; tick labels that would touch are left out."""
    left, right = x_frame()
    bottom, _ = y_frame()
    drawn = [line(left, y.at(t), right, y.at(t), "grid") for t in y.ticks()]
    drawn += [label(left - 6, y.at(t) + 4, short(t), anchor="end", kind="muted") for t in y.ticks()]
    free_from = 0.0
    for t in x.ticks():
        half = text_width(short(t)) / 2
        drawn.append(line(x.at(t), bottom, x.at(t), bottom + 4, "grid"))
        if x.at(t) - half >= free_from and x.at(t) + half <= WIDTH:
            drawn.append(label(x.at(t), bottom + 17, short(t), anchor="middle", kind="muted"))
            free_from = x.at(t) + half + 6
    drawn += [
        line(left, bottom, right, bottom, "axis"),
        label((left + right) / 2, HEIGHT - 5, x_label, anchor="middle"),
    ]
    return join(drawn)


def scatter(
    title: str,
    bubbles: Sequence[Bubble],
    front: Sequence[tuple[float, float]],
    *,
    x_label: str,
    about: str,
) -> Html:
    """Bubbles with their intervals; a dotted line joins the front. y is in percent. Names that would touch are left
    to the legend."""
    ends = [v for b in bubbles for v in (b.x, *(b.x_interval or ()))]
    heights = [v for b in bubbles for v in (b.y, *(b.y_interval or ()))]
    x = Linear(*_around(ends), *x_frame())
    y = Linear(*_close(heights), *y_frame())
    most = max((b.size for b in bubbles if b.size), default=1.0)
    drawn = [axes(x, y, x_label)]
    if len(front) > 1:
        drawn.append(path([(x.at(a), y.at(b)) for a, b in front], "front"))
    taken: list[tuple[float, float, float, float]] = []
    for b in bubbles:
        taken += _occupied(b, x, y)
    for b in bubbles:
        drawn.append(series(b.series, *_bubble(b, x, y, most)))
        drawn.append(_named(b, x.at(b.x), y.at(b.y), taken))
    return panel(title, HEIGHT, *drawn, about=about)


def _curve(curve: Curve, x: Scale, y: Scale) -> list[Html]:
    drawn = []
    if curve.band:
        upper = [(x.at(a), y.at(high)) for a, _, high in curve.band]
        lower = [(x.at(a), y.at(low)) for a, low, _ in reversed(curve.band)]
        drawn.append(path([*upper, *lower], "band"))
    points = [(x.at(a), y.at(b)) for a, b in curve.points if math.isfinite(b)]
    if not points:
        return drawn
    drawn.append(path(points, "curve", DASHES[curve.series % SERIES]))
    middle = points[len(points) // 2]
    return [*drawn, mark(curve.series, *middle, 4.0)]


def _bubble(b: Bubble, x: Scale, y: Scale, most: float) -> list[Html]:
    at = (x.at(b.x), y.at(b.y))
    drawn = []
    if b.size:
        drawn.append(tag("circle", cx=at[0], cy=at[1], r=24 * math.sqrt(b.size / most), class_="bubble"))
    if b.x_interval:
        drawn.append(line(x.at(b.x_interval[0]), at[1], x.at(b.x_interval[1]), at[1], "whisker"))
    if b.y_interval:
        drawn.append(line(at[0], y.at(b.y_interval[0]), at[0], y.at(b.y_interval[1]), "whisker"))
    return [*drawn, mark(b.series, *at)]


def _occupied(b: Bubble, x: Scale, y: Scale) -> list[tuple[float, float, float, float]]:
    """Where a bubble's mark and whiskers lie: names keep off them."""
    at = (x.at(b.x), y.at(b.y))
    level, upright = b.x_interval or (b.x, b.x), b.y_interval or (b.y, b.y)
    return [
        (at[0] - 8, at[1] - 8, at[0] + 8, at[1] + 8),
        (x.at(level[0]), at[1] - 1, x.at(level[1]), at[1] + 1),
        (at[0] - 1, y.at(upright[1]), at[0] + 1, y.at(upright[0])),
    ]


def _named(b: Bubble, x: float, y: float, taken: list[tuple[float, float, float, float]]) -> Html:
    width = text_width(b.name)
    for dx, dy, anchor in ((12, -9, "start"), (-12, -9, "end"), (12, 18, "start"), (-12, 18, "end")):
        left = x + dx if anchor == "start" else x + dx - width
        box = (left, y + dy - 11, left + width, y + dy + 4)
        inside = box[0] >= LEFT and box[2] <= WIDTH - 2 and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
        if inside and not any(_touch(box, other) for other in taken):
            taken.append(box)
            return label(x + dx, y + dy, b.name, anchor=anchor, kind="named")
    return Html("")


def _touch(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _close(percents: Sequence[float]) -> tuple[float, float]:
    low, high = min(percents, default=0.0), max(percents, default=100.0)
    room = max(2.0, (high - low) * 0.25)
    return max(0.0, low - room), min(100.0, high + room)


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max((high - low) * 0.3, high * 0.05)
    return max(0.0, low - room), high + room
