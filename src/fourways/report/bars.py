"""Pictures made of rows: bars with intervals, stacked bars, before and after, and the four-axis strip.

The name and the number stand above their bar, so nothing overlaps whatever the names are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fourways.report.markup import Child, Html, tag
from fourways.report.plot import WIDTH, Linear, cut, label, line, mark, panel, series, short, text_width, whisker

ROW = 34.0
STRIP = 40.0
CHANGE = 54.0
LEFT, RIGHT = 2.0, WIDTH - 8


@dataclass(frozen=True, slots=True)
class Bar:
    """value None: nothing to draw, `text` says why. interval None: not defined."""

    series: int
    name: str
    text: str
    value: float | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Some numbers of one candidate, each a dot."""

    series: int
    name: str
    text: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Stack:
    """segments: (index of its shade, amount), from the left. reference: an amount to hold the whole against."""

    name: str
    text: str
    segments: Sequence[tuple[int, float]]
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A value before and after, each with an interval (None: not defined)."""

    series: int
    name: str
    text: str
    before: float
    after: float
    before_interval: tuple[float, float] | None = None
    after_interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """One axis of one candidate: places in 0–1, better to the right. others: (series, place) of the rest."""

    name: str
    text: str
    place: float | None
    interval: tuple[float, float] | None
    others: Sequence[tuple[int, float]]


def bars(title: str, content: Sequence[Bar], low: float, high: float, *, about: str) -> Html:
    """Level bars from `low` to `high`, each with its interval as a whisker."""
    x = Linear(low, high, LEFT, RIGHT)
    drawn: list[Html] = []
    for i, bar in enumerate(content):
        y = i * ROW
        drawn += _heading(bar.series, bar.name, bar.text, y + 13)
        drawn.append(tag("rect", x=LEFT, y=y + 20, width=RIGHT - LEFT, height=8.0, class_="track"))
        if bar.value is None:
            continue
        width = max(1.0, x.at(bar.value) - LEFT)
        inner = [tag("rect", x=LEFT, y=y + 20, width=width, height=8.0, class_="bar")]
        if bar.interval:
            inner.append(whisker(x.at(bar.interval[0]), x.at(bar.interval[1]), y + 24))
        drawn.append(series(bar.series, *inner))
    return panel(title, len(content) * ROW + 2, *drawn, about=about)


def dots(title: Child, content: Sequence[Bar], reference: float | None, *, about: str) -> Html:
    """Shares between 0 and 1, each a mark with its interval; reference: a share that all of them are held against."""
    x = Linear(0.0, 1.0, LEFT + 6, RIGHT - 6)
    height = len(content) * ROW + 20
    drawn: list[Html] = []
    for i, dot in enumerate(content):
        y = i * ROW
        drawn += _heading(dot.series, dot.name, dot.text, y + 13)
        drawn.append(line(LEFT, y + 25, RIGHT, y + 25, "grid"))
        if reference is not None:
            drawn.append(line(x.at(reference), y + 18, x.at(reference), y + 33, "reference"))
        if dot.value is None:
            continue
        inner = [] if dot.interval is None else [whisker(x.at(dot.interval[0]), x.at(dot.interval[1]), y + 25)]
        drawn.append(series(dot.series, *inner, mark(dot.series, x.at(dot.value), y + 25)))
    for share in (0.0, 0.5, 1.0):
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        drawn.append(label(x.at(share), height - 3, f"{share:.0%}", anchor=anchor, kind="muted"))
    return panel(title, height, *drawn, about=about)


def crowds(title: Child, content: Sequence[Crowd], *, about: str) -> Html:
    """The dots of each candidate on a line, all to one scale, which need not begin at zero."""
    every = [value for crowd in content for value in crowd.values] or [0.0]
    room = max((max(every) - min(every)) * 0.1, max(every) * 0.01, 1e-6)
    x = Linear(min(every) - room, max(every) + room, LEFT + 6, RIGHT - 6)
    height = len(content) * ROW + 20
    drawn: list[Html] = []
    for i, crowd in enumerate(content):
        y = i * ROW
        drawn += _heading(crowd.series, crowd.name, crowd.text, y + 13)
        drawn.append(line(LEFT, y + 25, RIGHT, y + 25, "grid"))
        drawn.append(series(crowd.series, *(mark(crowd.series, x.at(v), y + 25, 4.5, "dot") for v in crowd.values)))
    ticks = [t for t in x.ticks() if min(every) - room <= t <= max(every) + room]
    drawn += [label(x.at(t), height - 3, short(t), anchor="middle", kind="muted") for t in ticks]
    return panel(title, height, *drawn, about=about)


def stacks(title: str, content: Sequence[Stack], *, about: str, largest: float) -> Html:
    """Level bars cut into segments; all to the same scale, up to `largest`."""
    x = Linear(0.0, largest or 1.0, LEFT, RIGHT)
    drawn: list[Html] = []
    for i, stack in enumerate(content):
        y = i * ROW
        drawn += _heading(None, stack.name, stack.text, y + 13)
        start = 0.0
        for shade, amount in stack.segments:
            left, width = x.at(start), max(0.0, x.at(start + amount) - x.at(start))
            drawn.append(tag("rect", x=left, y=y + 20, width=width, height=9.0, class_=f"shade{shade}"))
            start += amount
        if stack.reference is not None:
            drawn.append(line(x.at(stack.reference), y + 17, x.at(stack.reference), y + 32, "reference"))
    return panel(title, len(content) * ROW + 2, *drawn, about=about)


def changes(title: str, content: Sequence[Change], low: float, high: float, *, about: str) -> Html:
    """Before (hollow, above) and after (full, below), with their intervals."""
    x = Linear(low, high, LEFT + 6, RIGHT - 6)
    drawn: list[Html] = []
    for i, change in enumerate(content):
        y = i * CHANGE
        drawn += _heading(change.series, change.name, change.text, y + 13)
        above, below = y + 26, y + 40
        drawn += [line(LEFT, above, RIGHT, above, "grid"), line(LEFT, below, RIGHT, below, "grid")]
        inner = [line(x.at(change.before), above, x.at(change.after), below, "change")]
        for interval, level in ((change.before_interval, above), (change.after_interval, below)):
            if interval:
                inner.append(whisker(x.at(interval[0]), x.at(interval[1]), level))
        inner.append(mark(change.series, x.at(change.before), above, 5.0, "hollow"))
        inner.append(mark(change.series, x.at(change.after), below))
        drawn.append(series(change.series, *inner))
    return panel(title, len(content) * CHANGE, *drawn, about=about)


def strips(title: str, index: int, content: Sequence[Strip], *, about: str) -> Html:
    """The four-axis picture of one candidate: where it lies on each axis between the worst and the best of the run."""
    x = Linear(0.0, 1.0, LEFT + 8, RIGHT - 8)
    drawn: list[Html] = []
    for i, strip in enumerate(content):
        y = i * STRIP
        drawn += _heading(None, strip.name, strip.text, y + 13)
        if strip.place is not None or strip.others:
            drawn.append(line(LEFT, y + 27, RIGHT, y + 27, "rail"))
        drawn += [series(other, mark(other, x.at(place), y + 27, 4.0, "pale")) for other, place in strip.others]
        if strip.place is None:
            continue
        inner = [] if strip.interval is None else [whisker(x.at(strip.interval[0]), x.at(strip.interval[1]), y + 27)]
        drawn.append(series(index, *inner, mark(index, x.at(strip.place), y + 27, 6.0)))
    if any(strip.place is not None or strip.others for strip in content):
        drawn.append(label(LEFT, len(content) * STRIP + 12, "worst here", kind="muted"))
        drawn.append(label(RIGHT, len(content) * STRIP + 12, "best here", anchor="end", kind="muted"))
    return panel(title, len(content) * STRIP + 18, *drawn, about=about)


def _heading(index: int | None, name: str, text: str, y: float) -> list[Html]:
    text = cut(text, (RIGHT - LEFT) * 0.75)
    room = RIGHT - LEFT - text_width(text) - 26
    start = LEFT if index is None else LEFT + 14
    drawn = [] if index is None else [series(index, mark(index, LEFT + 5, y - 4, 4.5))]
    drawn.append(tag("text", tag("title", name), cut(name, max(room, 40.0)), x=start, y=y, class_="label"))
    drawn.append(label(RIGHT, y, text, anchor="end", kind="figure"))
    return drawn
