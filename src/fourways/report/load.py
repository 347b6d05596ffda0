"""The section of a load run: what its loads brought, what the SLO and the search say, A against B, and cost.

Only what the run has is shown."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.core.figure import Figure
from fourways.figures.requests import Setting
from fourways.report import probes, runs, sweep
from fourways.report.markup import Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.tables import folded

_SLO = (
    "The SLO holds where every objective does: a request keeps one if it did not fail and is within its limit. Goodput "
    "counts the requests a second that keep every limit. Intervals allow for requests that are late together."
)


def title(m: Material) -> str | None:
    """What a load run is called; None for another run."""
    if not m.facts.terms:
        return None
    names = list(m.names)
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} under load" if not m.facts.probes else f"{listed}: the greatest load that meets an SLO"


def section(m: Material) -> Html | None:
    """None where no load was asked for."""
    if not m.facts.terms:
        return None
    found, names = m.of_axis("latency"), m.names
    settings = sorted(m.facts.timings, key=lambda one: one.place)
    if m.facts.probes:
        return join([_terms(m), *probes.section(m.facts.probes, found, names)])
    placed = _placed(found, settings)
    swept = sweep.sweeps(settings)
    parts: list[Html | None] = [_terms(m)]
    for one in swept:
        parts += sweep.pictures(placed, one, names, _knees(found, one))
        parts.append(_knee_said(found, one))
    lines = len(settings) * len(names)
    if settings:
        parts.append(folded("What each load brought", sweep.loads_table(placed, settings, names), lines))
    needed = {f.labels["objective"]: float(f.labels["needed"]) for f in found if f.metric == "slo_objective"}
    if needed:
        parts.append(tag("h3", "The SLO, objective by objective"))
        parts.append(tag("p", _SLO))
        for one in swept:
            parts += sweep.objectives(placed, one, names, needed)
        table = sweep.objectives_table(placed, settings, names, needed)
        parts.append(folded("Each objective at each load", table, lines))
    return join([*parts, *runs.section(found, m.facts, names, settings)])


def _terms(m: Material) -> Html:
    """What was asked."""
    first = next(iter(m.facts.terms.values()))
    said = []
    if first.objectives:
        said.append(f"SLO: {', '.join(one.label for one in first.objectives)}.")
    if first.price_per_hour is not None:
        price = f"{first.price_per_hour:g} {first.currency}".strip()
        said.append(f"Price of an hour: {price}; cost is that of a machine that serves this load and nothing else.")
    said.append("Times count from when a request was due.")
    return tag("p", " ".join(said))


def _placed(found: Sequence[Figure], settings: Sequence[Setting]) -> dict[tuple[str, str, Setting], Figure]:
    """By candidate, metric (or objective) and setting."""
    known = {tuple(sorted(one.labels.items())): one for one in settings}
    placed: dict[tuple[str, str, Setting], Figure] = {}
    for f in found:
        if "stage" in f.labels or "versus" in f.labels:
            continue
        at = tuple(sorted((k, v) for k, v in f.labels.items() if k in ("workload", "load", "concurrency", "cache")))
        if (setting := known.get(at)) is not None:
            placed[f.candidate, f.labels.get("objective", f.metric), setting] = f
    return placed


def _knees(found: Sequence[Figure], one: sweep.Sweep) -> dict[str, float]:
    return {f.candidate: f.value for f in _knee_figures(found, one) if f.value is not None}


def _knee_said(found: Sequence[Figure], one: sweep.Sweep) -> Html | None:
    figures = _knee_figures(found, one)
    if not figures:
        return None
    lines = []
    for f in figures:
        note = f"; {f.reason}" if f.reason and f.status == "ok" else ""
        lines.append(tag("li", tag("bdi", f.candidate), f": knee at {show(f).line}{note}"))
    return tag("ul", *lines)


def _knee_figures(found: Sequence[Figure], one: sweep.Sweep) -> list[Figure]:
    first = one.settings[0]
    labels = {"workload": first.workload, "arrivals": first.load.arrivals, "cache": first.cache}
    return [f for f in found if f.metric in ("knee", "knee_concurrency") and labels.items() <= f.labels.items()]
