"""Pictures of figures: benchmarks with their intervals, before and after a fine-tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways.core.figure import Figure
from fourways.report.bars import Bar, Change, bars, changes
from fourways.report.markup import Html, join, tag
from fourways.report.numbers import largest, show
from fourways.report.plot import bounds, legend, panels
from fourways.report.result import interval
from fourways.report.tables import defined

METRICS_SHOWN = 2
_POINTS = "points of "
_SHARES = frozenset({"unparsed", "failed"})


def benchmark_bars(
    figures: Sequence[Figure], names: Sequence[str], titles: Mapping[str, str], texts: Mapping[str, str]
) -> Html:
    """For each benchmark its primary metric and the next one, a bar for each candidate; the rest is in the table."""
    groups: dict[str, dict[str, dict[str, Figure]]] = {}
    for f in figures:
        if set(f.labels) == {"benchmark"} and f.metric not in _SHARES:
            groups.setdefault(f.labels["benchmark"], {}).setdefault(f.metric, {})[f.candidate] = f
    if not groups:
        return tag("p", "No benchmark has a figure.")
    drawn = [
        _bars(join([f"{titles.get(benchmark, benchmark)}: ", _named(metric, by_name, texts)]), by_name, names)
        for benchmark, metrics in groups.items()
        for metric, by_name in list(metrics.items())[:METRICS_SHOWN]
    ]
    return join([legend(names), panels(*drawn)])


def _named(metric: str, by_name: Mapping[str, Figure], texts: Mapping[str, str]) -> Html:
    return defined(metric.replace("_", " "), next(iter(by_name.values())).definition, texts)


def _bars(title: Html, by_name: Mapping[str, Figure], names: Sequence[str]) -> Html:
    low, high = _range([*by_name.values()])
    content = []
    for i, name in enumerate(names):
        figure = by_name.get(name)
        shown = show(figure)
        value = None if figure is None or not shown.measured else figure.value
        content.append(Bar(i, name, shown.short, value, None if figure is None else interval(figure)))
    said = "; ".join(f"{bar.name}: {show(by_name.get(bar.name)).line}" for bar in content)
    return bars(title, content, low, high, about=said)


def _range(figures: Sequence[Figure]) -> tuple[float, float]:
    unit = figures[0].unit
    if unit == "fraction":
        return 0.0, 1.0
    if unit.startswith(_POINTS):
        return 0.0, float(unit.removeprefix(_POINTS))
    return bounds([largest(f) for f in figures])


def has_change(figures: Sequence[Figure]) -> bool:
    """Whether some candidate has a score before and one after."""
    scored = {(f.candidate, f.metric) for f in figures if f.status == "ok"}
    return any((name, "score_after") in scored for name, metric in scored if metric == "score_before")


def before_after(figures: Sequence[Figure], names: Sequence[str], texts: Mapping[str, str]) -> Html:
    """Held-out score before and after the fine-tune, with both intervals, and the gain."""
    content = []
    for i, name in enumerate(names):
        mine = {f.metric: f for f in figures if f.candidate == name}
        before, after, gain = mine.get("score_before"), mine.get("score_after"), mine.get("gain")
        if before is None or after is None or before.value is None or after.value is None:
            continue
        if before.status != "ok" or after.status != "ok":
            continue
        shown = show(gain)
        said = f"gain {shown.short}" + (f" [{shown.interval}]" if shown.interval else "")
        content.append(Change(i, name, said, before.value, after.value, interval(before), interval(after)))
    if not content:
        return tag("p", "No candidate has a score before and after; the figures below say why.")
    about = "; ".join(f"{c.name}: from {c.before:.2f} to {c.after:.2f}, {c.text}" for c in content)
    gain = next((f for f in figures if f.metric == "gain"), None)
    led = None if gain is None else join([": ", defined("gain", gain.definition, texts)])
    title = join(["Before (hollow) and after the fine-tune", led])
    return panels(changes(title, content, 0.0, 1.0, about=about))
