"""The pieces of a picture: scales, ticks, marks and frames, as inline SVG.

Every panel is about 360 units wide and is shown at about 360 pixels, on a phone as on a wide screen (there, several
stand side by side), so that its words never shrink. Colours come from the page's style by series number; each series
has a shape and a dash of its own as well, so nothing is told by colour alone.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fourways.report.markup import Child, Html, join, number, tag

WIDTH = 360.0
SERIES = 8
DASHES = (None, "7 3", "2 3", "9 3 2 3", "4 4", "12 3", "1 3", "6 2 1 2")


class Scale(Protocol):
    """Values to positions; `ticks` are the values worth a line."""

    def at(self, value: float) -> float: ...

    def ticks(self) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class Linear:
    """low..high in values to start..end in picture units."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        span = self.high - self.low or 1.0
        share = (value - self.low) / span
        return self.start + min(max(share, -0.02), 1.02) * (self.end - self.start)

    def ticks(self) -> list[float]:
        step = nice_step((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Logarithmic:
    """As Linear, by the logarithm; low must be above 0."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        inner = Linear(math.log10(self.low), math.log10(self.high), self.start, self.end)
        return inner.at(math.log10(max(value, self.low * 1e-3)))

    def ticks(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        marks = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        inside = [m for m in marks if self.low * 0.999 <= m <= self.high * 1.001]
        if len(inside) <= 5:
            return inside
        whole = [m for m in inside if math.isclose(math.log10(m), round(math.log10(m)), abs_tol=1e-9)]
        return whole[:: math.ceil(len(whole) / 5)] if len(whole) >= 2 else inside[::3]


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `rough`."""
    if not math.isfinite(rough) or rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """A round range from 0 (or a round number below the least) that holds all values."""
    low, high = min(0.0, *values, 0.0), max(*values, 0.0) if values else 1.0
    step = nice_step((high - low) / 4 or 1.0)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step or step


def short(value: float) -> str:
    """A tick's words: 1,500 → 1.5k; 0.05 stays."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    if size >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def text_width(text: str, size: float = 12.0) -> float:
    """Roughly how wide a line of text is, erring on the wide side: wide characters count as one em."""
    ems = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.72 if c in "MW@%mw" else 0.56 for c in text)
    return ems * size


def cut(text: str, width: float, size: float = 12.0) -> str:
    """The text, its middle left out if it is wider than `width`: names differ at their ends."""
    if text_width(text, size) <= width:
        return text
    keep = max(4, int(len(text) * width / text_width(text, size)) - 1)
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"


def label(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "label") -> Html:
    """Words in a picture; kind: a class of the page's style (label, muted, strong)."""
    return tag("text", text, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=kind)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def path(points: Sequence[tuple[float, float]], kind: str, dash: str | None = None) -> Html:
    """A polyline through the points."""
    route = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return tag("path", d=route, class_=kind, stroke_dasharray=dash)


def mark(series: int, x: float, y: float, radius: float = 5.0, kind: str = "dot") -> Html:
    """The shape of a series, centred at (x, y)."""
    shape = series % SERIES
    if shape == 0:
        return tag("circle", cx=x, cy=y, r=radius, class_=kind)
    corners: dict[int, list[tuple[float, float]]] = {
        1: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2: [(0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
        3: [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        4: [(0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
        5: [(-1.1, 0.35), (-0.7, -1), (0.7, -1), (1.1, 0.35), (0, 1.15)],
        6: [(-1.2, -0.6), (1.2, -0.6), (1.2, 0.6), (-1.2, 0.6)],
        7: [(-0.6, -1.2), (0.6, -1.2), (0.6, 1.2), (-0.6, 1.2)],
    }
    points = " ".join(f"{number(x + dx * radius)},{number(y + dy * radius)}" for dx, dy in corners[shape])
    return tag("polygon", points=points, class_=kind)


def series(index: int, *children: Html) -> Html:
    """A group in the colour of a series."""
    return tag("g", *children, class_=f"s{index % SERIES}")


def whisker(low: float, high: float, y: float) -> Html:
    """A level interval with end strokes."""
    return join(
        [
            line(low, y, high, y, "whisker"),
            line(low, y - 4, low, y + 4, "whisker"),
            line(high, y - 4, high, y + 4, "whisker"),
        ]
    )


def panel(title: Child, height: float, *children: Html, about: str, width: float = WIDTH) -> Html:
    """A titled picture. about: what a person who cannot see it is told."""
    picture = tag("svg", *children, viewBox=f"0 0 {number(width)} {number(height)}", role="img", aria_label=about)
    return tag("figure", tag("figcaption", title), picture, class_="panel")


def panels(*children: Html, kind: str = "") -> Html:
    """Panels side by side, as many as fit; kind "pairs": at most two."""
    return tag("div", *children, class_=f"panels {kind}".rstrip())


def legend(names: Sequence[str]) -> Html:
    """Which shape, dash and colour is whose; stands once above a set of panels."""
    return tag("ul", *(tag("li", swatch(i), tag("bdi", name)) for i, name in enumerate(names)), class_="legend")


def swatch(index: int) -> Html:
    """A small line with the shape of a series on it."""
    inner = (path([(0, 8), (28, 8)], "curve", DASHES[index % SERIES]), mark(index, 14, 8, 4.5))
    return tag("svg", series(index, *inner), viewBox="0 0 28 16", class_="swatch", aria_hidden="true")
