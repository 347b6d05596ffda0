"""The headline figures: the table of candidates by axes, the four-axis pictures and the Pareto picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fourways.core.figure import AXES, Axis, Figure, Summary
from fourways.figures import Placed, process_growth
from fourways.report.bars import Strip, strips
from fourways.report.charts import Bubble, scatter
from fourways.report.markup import Html, join, tag
from fourways.report.numbers import largest, scale_for, show
from fourways.report.plot import legend, panels, swatch
from fourways.report.tables import cell, defined, stacked

Headlines = Mapping[tuple[str, Axis], Figure]


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate in the Pareto picture."""

    name: str
    latency: Figure
    accuracy: Figure
    memory: Figure | None


def headlines(figures: Iterable[Figure]) -> dict[tuple[str, Axis], Figure]:
    """The cell of each candidate on each axis; absent where the axis was not run."""
    return {(f.candidate, f.axis): f for f in figures if f.headline}


def names_of(summary: Summary, header_names: Sequence[str]) -> list[str]:
    """Candidates in the header's order, then any that only figures know."""
    return list(dict.fromkeys([*header_names, *(f.candidate for f in summary.figures)]))


def growth(figures: Iterable[Figure]) -> list[str]:
    """One sentence where processes grew by more than their tensors, which are all that the headline counts."""
    found = process_growth(figures)
    if not found:
        return []
    scale = scale_for("bytes", max(grown for _, grown in found.values()))
    named = ", ".join(f"{name} {scale.full(grown)}" for name, (_, grown) in found.items())
    return [f"The processes themselves grew by more than that memory ({named}); the report's Memory section has it."]


def result_table(
    names: Sequence[str],
    run: Sequence[Axis],
    cells: Headlines,
    texts: Mapping[str, str],
    what: Mapping[str, str],
    conditions: Mapping[Axis, str],
) -> Html:
    """One row a candidate, one column an axis; on a phone each row is a card. run: the axes that were measured; the
    others have a column too, unless it is a single one. conditions: how each was measured."""
    axes = run if len(run) == 1 else AXES
    heads = [tag("th", "candidate", scope="col"), *(_axis_head(a, names, cells, texts, conditions) for a in axes)]
    rows = [_row(i, name, axes, cells, texts, what.get(name, ""), conditions) for i, name in enumerate(names)]
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="result")


def four_axis_pictures(names: Sequence[str], cells: Headlines) -> Html:
    """One picture a candidate: its place on each axis between the worst and the best that this run saw."""
    return panels(*(_strips(i, name, names, cells) for i, name in enumerate(names)))


def pareto(names: Sequence[str], cells: Headlines, placed: Sequence[Placed]) -> Html:
    """Accuracy over latency, the bubble's area is memory; beside it, who is on the front over all axes."""
    standing = stacked("Pareto", ("candidate", "standing"), [_standing(p, cells) for p in placed])
    note = tag("p", compared(placed, cells), class_="muted")
    points = [p for name in names if (p := _point(name, cells)) is not None]
    if not points:
        return join([tag("p", "No candidate has both an accuracy and a latency."), standing, note])
    scale = scale_for(points[0].latency.unit, max(largest(p.latency) for p in points))
    best = front(points)
    picture = scatter(
        "Accuracy over latency; area: memory" if any(p.memory for p in points) else "Accuracy over latency",
        [_bubble(names.index(p.name), p, scale.divisor) for p in points],
        [((p.latency.value or 0.0) / scale.divisor, _percent(p.accuracy.value)) for p in best],
        x_label=f"{points[0].latency.metric.replace('_', ' ')} ({scale.suffix.strip()}), left is better",
        about=f"Scatter of {len(points)} candidates. Faster and more accurate than all others, or on the line between: "
        f"{', '.join(p.name for p in best)}.",
    )
    line = "The dotted line joins those that no other beats on accuracy (%) and latency together."
    words = tag("p", line) if len(best) > 1 else None
    return join([legend(names), panels(picture, tag("div", words, standing, note), kind="pairs")])


def compared(placed: Sequence[Placed], cells: Headlines) -> str:
    """Which axes decide who is on the front, and which cannot because no candidate has a value there."""
    axes = [axis for axis in AXES if any(axis in place.measured for place in placed)]
    lost = [axis for axis in AXES if axis not in axes and any(at == axis for _, at in cells)]
    if not axes:
        return "No candidate has a value on any axis."
    without = f" No candidate has a value on {_listed(lost)}, so it decides nothing." if lost else ""
    return f"Compared over {_listed(axes)}.{without} By values alone: intervals may overlap, see who is ahead of whom."


def _listed(axes: Sequence[str]) -> str:
    return axes[0] if len(axes) == 1 else f"{', '.join(axes[:-1])} and {axes[-1]}"


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats on one of accuracy and latency without losing on the other; by latency."""
    kept = [p for p in points if not any(_dominates(q, p) for q in points)]
    return sorted(kept, key=lambda p: p.latency.value or 0.0)


def _axis_head(
    axis: Axis, names: Sequence[str], cells: Headlines, texts: Mapping[str, str], conditions: Mapping[Axis, str]
) -> Html:
    found = next((cells[n, axis] for n in names if (n, axis) in cells), None)
    below = None
    if found is not None:
        better = {"higher": "higher is better", "lower": "lower is better", "none": ""}[found.direction]
        below = tag(
            "span",
            defined(found.metric.replace("_", " "), found.definition, texts),
            f", {better}" if better else "",
            class_="of",
        )
    how = tag("span", conditions[axis], class_="of") if axis in conditions else None
    return tag("th", axis, below, how, scope="col", class_="num")


def _axis_said(axis: Axis, figure: Figure | None, texts: Mapping[str, str], how: str | None) -> Html:
    """The column's head again, for narrow screens, where each cell stands alone."""
    metric = None if figure is None else defined(figure.metric.replace("_", " "), figure.definition, texts)
    below = tag("span", how, class_="of") if how else None
    return tag("span", axis, " " if metric else None, metric, below, class_="said-again")


def _row(
    index: int,
    name: str,
    axes: Sequence[Axis],
    cells: Headlines,
    texts: Mapping[str, str],
    what: str,
    conditions: Mapping[Axis, str],
) -> Html:
    head = tag("th", swatch(index), tag("bdi", name), tag("span", what, class_="of"), scope="row")
    body = []
    for axis in axes:
        figure = cells.get((name, axis))
        said = _axis_said(axis, figure, texts, conditions.get(axis))
        body.append(tag("td", said, cell(show(figure)), class_="num"))
    return tag("tr", head, *body)


def _strips(index: int, name: str, names: Sequence[str], cells: Headlines) -> Html:
    content = []
    run = [axis for axis in AXES if any(at == axis for _, at in cells)]
    for axis in run:
        mine = cells.get((name, axis))
        known = {n: f for n in names if (f := cells.get((n, axis))) is not None and f.status == "ok"}
        others = [
            (names.index(n), _place(f.value, f, known)) for n, f in known.items() if n != name and f.value is not None
        ]
        place = None if mine is None or mine.value is None or name not in known else _place(mine.value, mine, known)
        span = _interval_place(mine, known) if mine is not None and name in known else None
        content.append(Strip(axis, show(mine).short, place, span, others))
    said = "; ".join(f"{axis}: {show(cells.get((name, axis))).line}" for axis in run)
    return strips(name, index, content, about=f"{name}. {said}. Further right is better.")


def _place(value: float, figure: Figure, known: Mapping[str, Figure]) -> float:
    ends = [v for f in known.values() for v in (f.value, f.low, f.high) if v is not None]
    low, high = min(ends), max(ends)
    if high == low:
        return 0.5
    share = (value - low) / (high - low)
    return 1.0 - share if figure.direction == "lower" else share


def _interval_place(figure: Figure, known: Mapping[str, Figure]) -> tuple[float, float] | None:
    if figure.low is None or figure.high is None or figure.value is None:
        return None
    ends = sorted((_place(figure.low, figure, known), _place(figure.high, figure, known)))
    return ends[0], ends[1]


def _point(name: str, cells: Headlines) -> Point | None:
    accuracy, latency = cells.get((name, "accuracy")), cells.get((name, "latency"))
    if accuracy is None or latency is None or accuracy.status != "ok" or latency.status != "ok":
        return None
    memory = cells.get((name, "memory"))
    return Point(name, latency, accuracy, memory if memory is not None and memory.status == "ok" else None)


def _bubble(index: int, p: Point, divisor: float) -> Bubble:
    x, y = interval(p.latency), interval(p.accuracy)
    return Bubble(
        index,
        p.name,
        (p.latency.value or 0.0) / divisor,
        _percent(p.accuracy.value),
        None if x is None else (x[0] / divisor, x[1] / divisor),
        None if y is None else (_percent(y[0]), _percent(y[1])),
        None if p.memory is None else p.memory.value,
    )


def interval(figure: Figure) -> tuple[float, float] | None:
    """Both ends, or None where the interval is not defined."""
    return None if figure.low is None or figure.high is None else (figure.low, figure.high)


def _dominates(a: Point, b: Point) -> bool:
    ax, ay, bx, by = a.latency.value or 0.0, a.accuracy.value or 0.0, b.latency.value or 0.0, b.accuracy.value or 0.0
    return ax <= bx and ay >= by and (ax < bx or ay > by)


def _percent(share: float | None) -> float:
    return 100.0 * (share or 0.0)


def _standing(place: Placed, cells: Headlines) -> tuple[Html, str]:
    if not place.measured:
        said = "has no value on any axis"
    elif place.on_front:
        said = f"on the front: no other is at least as good on {_listed(place.measured)}{_and_better(place.measured)}"
    else:
        better = _and_better(place.measured)
        said = f"beaten by {', '.join(place.beaten_by)}: at least as good on {_listed(place.measured)}{better}"
    if place.measured and place.missing:
        said += f"; not compared on {_listed([_with_status(place.candidate, axis, cells) for axis in place.missing])}"
    return tag("bdi", place.candidate), said


def _and_better(axes: Sequence[Axis]) -> str:
    return " and better on one of them" if len(axes) > 1 else " and better there"


def _with_status(name: str, axis: Axis, cells: Headlines) -> str:
    figure = cells.get((name, axis))
    return f"{axis} ({'not run' if figure is None else figure.status.replace('_', ' ')})"
