"""A load run's loads: what each brought, in a table; and where there are several, pictures of the sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fourways import figures
from fourways.core.figure import Figure
from fourways.core.load import Load
from fourways.figures.requests import Setting
from fourways.report.markup import Child, Html, tag
from fourways.report.numbers import scale_for, show
from fourways.report.plot import legend, panels
from fourways.report.result import interval
from fourways.report.tables import cell, defined, stacked
from fourways.report.timing import words
from fourways.report.trails import Point, Trail, trails

Found = Mapping[tuple[str, str, Setting], Figure]
"""(candidate, metric, setting) → figure; of an SLO's objectives the metric is their label."""

_SWEPT = {"closed": "concurrency", "constant": "requests/s, evenly", "poisson": "requests/s, Poisson"}
_TIMES = ("ttft_p50", "ttft_p95", "e2e_p50", "e2e_p95")
_COLUMNS = ("requests_per_s", "tokens_per_s", "e2e_p50", "slo_attainment", "goodput", "cost_per_1000")
_HEADS = {
    "requests_per_s": "answers a second",
    "tokens_per_s": "tokens a second",
    "e2e_p50": "e2e p50",
    "slo_attainment": "keep the SLO",
    "goodput": "goodput",
    "cost_per_1000": "cost of 1,000 answers",
}
_SAID = (
    "Latency against answers a second: a point is a load, joined in their order; whiskers are 95 % intervals, and a "
    "ring is the knee, where answers a second over mean e2e is greatest. Where a line turns upwards, more load brings "
    "more delay and no more answers. A point whose n is too small for its figure is left out."
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Loads of one kind over one workload, by size."""

    settings: Sequence[Setting]

    @property
    def kind(self) -> str:
        return _SWEPT[self.settings[0].load.arrivals]

    @property
    def is_open(self) -> bool:
        return self.settings[0].load.arrivals != "closed"


def size(load: Load) -> float:
    """Requests inside, or a second."""
    return float(load.concurrency or load.rate_per_s or 0.0)


def sweeps(settings: Sequence[Setting]) -> list[Sweep]:
    """Of two loads or more each."""
    kinds: dict[tuple[str, str, str], list[Setting]] = {}
    for setting in sorted(settings, key=lambda one: one.place):
        if setting.load.arrivals in _SWEPT:
            kinds.setdefault((setting.workload, setting.load.arrivals, setting.cache), []).append(setting)
    return [Sweep(found) for found in kinds.values() if len(found) > 1]


def loads_table(found: Found, settings: Sequence[Setting], names: Sequence[str]) -> Html:
    """A line a candidate and load."""
    shown = [metric for metric in _COLUMNS if any((n, metric, s) in found for n in names for s in settings)]
    heads = ["candidate", "sent", *(f"#{_HEADS[metric]}" for metric in shown)]
    rows: list[Sequence[Child]] = []
    for name in names:
        for setting in settings:
            if any((name, metric, setting) in found for metric in shown):
                cells = [cell(show(found.get((name, metric, setting)))) for metric in shown]
                rows.append([tag("bdi", name), words(setting), *cells])
    return stacked("What each load brought", heads, rows)


def pictures(found: Found, sweep: Sweep, names: Sequence[str], knees: Mapping[str, float]) -> list[Html]:
    """knees: candidate → the load that is its knee."""
    drawn = [_times(found, sweep, names, knees, metric) for metric in _TIMES]
    drawn.append(_by_load(found, sweep, names, "requests_per_s"))
    drawn += [_by_load(found, sweep, names, metric) for metric in ("tokens_per_s", "power", "goodput", "cost_per_1000")]
    kept = [picture for picture in drawn if picture is not None]
    first = sweep.settings[0]
    title = tag("h3", f"The sweep: {sweep.kind}, {first.workload}")
    return [title, tag("p", _SAID), legend(names), panels(*kept)] if kept else []


def objectives(found: Found, sweep: Sweep, names: Sequence[str], needed: Mapping[str, float]) -> list[Html]:
    """A panel an objective: the share of requests that keep it, against what is needed. needed: objective → share."""
    drawn = []
    for label, share in needed.items():
        content = [Trail(i, _points(found, sweep, name, label)) for i, name in enumerate(names)]
        if any(trail.points for trail in content):
            said = _spoken(found, sweep, names, label)
            title = f"{label}: share that keeps it; dashed: {share:.4g} is needed"
            drawn.append(trails(title, content, x_label=sweep.kind, about=said, top=1.0, reference=share))
    return [panels(*drawn)] if drawn else []


def objectives_table(
    found: Found, settings: Sequence[Setting], names: Sequence[str], needed: Mapping[str, float]
) -> Html:
    """A line a candidate and load, a column an objective."""
    heads = ["candidate", "sent", *(f"#{label} ({share:.4g} needed)" for label, share in needed.items())]
    rows: list[Sequence[Child]] = [
        [tag("bdi", name), words(setting), *(cell(show(found.get((name, label, setting)))) for label in needed)]
        for name in names
        for setting in settings
        if any((name, label, setting) in found for label in needed)
    ]
    return stacked("The SLO, objective by objective", heads, rows)


def _times(found: Found, sweep: Sweep, names: Sequence[str], knees: Mapping[str, float], metric: str) -> Html | None:
    content = []
    for i, name in enumerate(names):
        points = []
        for setting in sweep.settings:
            rate, time = found.get((name, "requests_per_s", setting)), found.get((name, metric, setting))
            if rate is None or rate.value is None or time is None or time.value is None or time.status != "ok":
                continue
            knee = knees.get(name) == size(setting.load)
            points.append(Point(rate.value, time.value, interval(rate), interval(time), knee))
        content.append(Trail(i, points))
    if not any(trail.points for trail in content):
        return None
    title = _title(found, sweep, metric, "ms, over answers a second")
    return trails(title, content, x_label="answers a second", about=_spoken(found, sweep, names, metric))


def _by_load(found: Found, sweep: Sweep, names: Sequence[str], metric: str) -> Html | None:
    content = [Trail(i, _points(found, sweep, name, metric)) for i, name in enumerate(names)]
    if not any(trail.points for trail in content):
        return None
    offered = sweep.is_open and metric == "requests_per_s"
    title = _title(found, sweep, metric, "dashed: all that is sent" if offered else "")
    said = _spoken(found, sweep, names, metric)
    return trails(title, content, x_label=sweep.kind, about=said, reference="equal" if offered else None)


def _points(found: Found, sweep: Sweep, name: str, metric: str) -> list[Point]:
    points = []
    for setting in sweep.settings:
        figure = found.get((name, metric, setting))
        if figure is not None and figure.value is not None:
            points.append(Point(size(setting.load), figure.value, None, interval(figure)))
    return points


def _title(found: Found, sweep: Sweep, metric: str, note: str) -> Child:
    figure = next(f for (_, m, s), f in found.items() if m == metric and s in sweep.settings)
    unit = scale_for(figure.unit, figure.value or 1.0).suffix.strip() if note == "" else ""
    name = defined(_HEADS.get(metric, metric.replace("_", " ")), figure.definition, figures.TEXTS)
    return tag("span", name, f"; {note}" if note else f" ({unit})" if unit else "")


def _spoken(found: Found, sweep: Sweep, names: Sequence[str], metric: str) -> str:
    said = []
    for name in names:
        known = [(s, f) for s in sweep.settings if (f := found.get((name, metric, s))) is not None]
        if known:
            said.append(f"{name}: " + ", ".join(f"{s.load.label}: {show(f).line}" for s, f in known))
    return "; ".join(said)
