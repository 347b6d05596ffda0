"""Memory over time: how it rises and falls within the stages of one probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from fourways.core.rows import MemoryTimelineRow
from fourways.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP
from fourways.report.markup import Html, join, tag
from fourways.report.numbers import scale_for
from fourways.report.plot import WIDTH, Linear, label, line, panel, panels, path, series, short

_ABOUT = (
    "Memory while one probe ran, every change counted. Counting slows the work, so time has no scale here: each stage "
    "is drawn equally wide, and between two stages nothing is shown."
)
_ROOM = 6.0
"""Between two stages."""


def chart(timelines: Mapping[str, MemoryTimelineRow], names: Sequence[str], words: Mapping[str, str]) -> list[Html]:
    """A panel for each candidate that has a timeline, all to one scale. words: stages' names on the page."""
    shown = [(i, name, timelines[name]) for i, name in enumerate(names) if name in timelines and timelines[name].points]
    if not shown:
        return []
    most = max(size for _, _, row in shown for _, size in row.points)
    drawn = [_panel(i, name, row, float(most), words) for i, name, row in shown]
    return [tag("h3", "Memory over time"), tag("p", _ABOUT), panels(*drawn)]


def _panel(index: int, name: str, row: MemoryTimelineRow, most: float, words: Mapping[str, str]) -> Html:
    scale = scale_for("bytes", most)
    y = Linear(0.0, most / scale.divisor * 1.08, HEIGHT - BOTTOM, TOP)
    drawn = [_levels(y)]
    width = (WIDTH - LEFT - RIGHT) / len(row.stages)
    said = []
    for place, (stage, start, end) in enumerate(row.stages):
        x = Linear(start, end, LEFT + place * width + _ROOM / 2, LEFT + (place + 1) * width - _ROOM / 2)
        inside = [(at, size) for at, size in row.points if start <= at <= end]
        if not inside:
            continue
        drawn.append(tag("rect", x=x.start, y=TOP, width=x.end - x.start, height=HEIGHT - BOTTOM - TOP, class_="stage"))
        drawn.append(_curve(index, [(x.at(at), y.at(size / scale.divisor)) for at, size in inside], x.end))
        drawn.append(label((x.start + x.end) / 2, HEIGHT - BOTTOM + 17, _word(stage, words), anchor="middle"))
        said.append(f"{_word(stage, words)} up to {scale.full(max(size for _, size in inside))}")
    what = row.quantity.replace("_", " ")
    title = f"{name}: {what}, {scale.suffix.strip()}"
    return panel(title, HEIGHT - BOTTOM + 24, *drawn, about=f"{name}, {what}: {'; '.join(said)}")


def _word(stage: str, words: Mapping[str, str]) -> str:
    """The first word is enough where every stage has little room."""
    return words.get(stage, stage).partition(" ")[0]


def _levels(y: Linear) -> Html:
    right = WIDTH - RIGHT
    drawn = [line(LEFT, y.at(t), right, y.at(t), "grid") for t in y.ticks()]
    return join([*drawn, *(label(LEFT - 6, y.at(t) + 4, short(t), anchor="end", kind="muted") for t in y.ticks())])


def _curve(index: int, points: Sequence[tuple[float, float]], end: float) -> Html:
    """A line of level steps: memory stays as it is until it changes."""
    steps = [points[0]]
    for (_, before), (at, now) in pairwise(points):
        steps += [(at, before), (at, now)]
    return series(index, path([*steps, (end, points[-1][1])], "curve"))
