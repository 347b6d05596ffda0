"""A search: its probes in their order, what was found, and between which two loads it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways import figures
from fourways.core.figure import Figure
from fourways.core.rows import ProbeRow, ProbeVerdict
from fourways.report.charts import HEIGHT, axes, x_frame, y_frame
from fourways.report.markup import Html, join, tag
from fourways.report.numbers import show
from fourways.report.plot import Linear, line, mark, panel, panels, series
from fourways.report.sweep import size
from fourways.report.tables import cell, defined, stacked
from fourways.report.trails import scale_over

VERDICTS: dict[ProbeVerdict, str] = {
    "meets": "met",
    "misses": "missed",
    "undecided": "could not tell",
    "client_bound": "client-bound",
}
_PURPOSES = {"bracket": "to find both ends", "narrow": "between the ends", "confirm": "to confirm"}
_SAID = (
    "Every probe in its order: full, it met the SLO; a cross, it missed it; a hollow ring, it could not tell; a hollow "
    "square, the client could not keep up, so nothing is said of the server. The band is the bracket: from the load "
    "that fresh requests confirmed to the least above it that was seen to miss."
)


def section(probes: Mapping[str, Sequence[ProbeRow]], found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    """found: the figures of the latency axis. Empty where nothing was searched."""
    searched = [(i, name) for i, name in enumerate(names) if probes.get(name)]
    if not searched:
        return []
    capacities = {f.candidate: f for f in found if f.metric in ("capacity", "capacity_concurrency")}
    first = next(iter(capacities.values()))
    rows = [
        (tag("bdi", name), capacity.labels.get("slo", "").replace(",", ", "), _found(capacity))
        for _, name in searched
        if (capacity := capacities.get(name)) is not None
    ]
    heads = ("candidate", "SLO", "#capacity")
    return [
        tag("h3", defined("The search", first.definition, figures.TEXTS)),
        stacked("What the search found", heads, rows),
        tag("p", _SAID),
        panels(*(_panel(i, name, probes[name], capacities.get(name)) for i, name in searched)),
        *(_listed(name, probes[name]) for _, name in searched),
    ]


def _found(capacity: Figure) -> Html:
    note = capacity.reason if capacity.status == "ok" else None
    return join([cell(show(capacity)), tag("span", note, class_="of") if note else None])


def _panel(index: int, name: str, probes: Sequence[ProbeRow], capacity: Figure | None) -> Html:
    sizes = [size(probe.load) for probe in probes]
    x, y = Linear(0.0, len(probes) + 1.0, *x_frame()), scale_over(sizes, *y_frame())
    drawn = []
    if capacity is not None and capacity.low is not None and capacity.high is not None:
        left, right = x_frame()
        upper, lower = y.at(capacity.high), y.at(capacity.low)
        drawn.append(tag("rect", x=left, y=upper, width=right - left, height=max(2.0, lower - upper), class_="stage"))
    drawn.append(axes(x, y, "probe, in their order"))
    drawn += [
        series(index, _mark(index, probe.verdict, x.at(place), y.at(at)))
        for place, (probe, at) in enumerate(zip(probes, sizes, strict=True), start=1)
    ]
    unit = "requests at a time" if probes[0].load.arrivals == "closed" else "requests/s"
    said = ", ".join(f"{at:.4g} {VERDICTS[probe.verdict]}" for probe, at in zip(probes, sizes, strict=True))
    return panel(join([tag("bdi", name), f": {unit}"]), HEIGHT, *drawn, about=f"{name}: {said}")


def _mark(index: int, verdict: ProbeVerdict, x: float, y: float) -> Html:
    match verdict:
        case "meets":
            return mark(index, x, y)
        case "misses":
            return join([line(x - 5, y - 5, x + 5, y + 5, "stroke"), line(x - 5, y + 5, x + 5, y - 5, "stroke")])
        case "undecided":
            return mark(0, x, y, 5.0, "hollow")
        case "client_bound":
            return mark(1, x, y, 5.0, "hollow")


def _listed(name: str, probes: Sequence[ProbeRow]) -> Html:
    rows = [
        (
            str(place),
            probe.load.label,
            _PURPOSES[probe.purpose],
            VERDICTS[probe.verdict],
            f"{probe.judged:,}",
            f"{probe.unfinished:,}",
            "" if probe.served_per_s is None else f"{probe.served_per_s:.4g}",
            probe.reason,
        )
        for place, probe in enumerate(probes, start=1)
    ]
    heads = ("#probe", "load", "why", "verdict", "#judged", "#left inside", "#answers a second", "reason")
    summary = tag("summary", tag("bdi", name), f": the {len(probes)} probes, one by one")
    return tag("details", summary, stacked(f"Probes of {name}", heads, rows))
