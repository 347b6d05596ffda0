"""Pictures of figures: benchmarks with their intervals, memory by stage, before and after a fine-tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways.core.figure import Figure
from fourways.report.bars import Bar, Change, Stack, bars, changes, stacks
from fourways.report.markup import Html, join, tag
from fourways.report.numbers import largest, scale_for, show
from fourways.report.plot import bounds, panels
from fourways.report.result import interval
from fourways.report.timing import shade_legend


def benchmark_bars(figures: Sequence[Figure], names: Sequence[str], titles: Mapping[str, str]) -> Html:
    """A panel for each whole-benchmark metric, a bar for each candidate."""
    groups: dict[tuple[str, str], dict[str, Figure]] = {}
    for f in figures:
        if set(f.labels) == {"benchmark"}:
            groups.setdefault((f.labels["benchmark"], f.metric), {})[f.candidate] = f
    if not groups:
        return tag("p", "No benchmark has a figure.")
    return panels(*(_bars(f"{titles.get(b, b)}: {m}", by_name, names) for (b, m), by_name in groups.items()))


def _bars(title: str, by_name: Mapping[str, Figure], names: Sequence[str]) -> Html:
    ends = [largest(f) for f in by_name.values()]
    unit = next(iter(by_name.values())).unit
    low, high = (0.0, 1.0) if unit == "fraction" else bounds(ends)
    content = []
    for i, name in enumerate(names):
        figure = by_name.get(name)
        shown = show(figure)
        value = None if figure is None or not shown.measured else figure.value
        content.append(Bar(i, name, shown.value, value, None if figure is None else interval(figure)))
    said = "; ".join(f"{bar.name}: {show(by_name.get(bar.name)).line}" for bar in content)
    return bars(title, content, low, high, about=said)


def memory(figures: Sequence[Figure], names: Sequence[str]) -> Html:
    """Peaks by stage, each cut into weights and what comes on top; a panel for each quantity that has them."""
    parts: list[Html] = []
    by_quantity: dict[str, list[Figure]] = {}
    for f in figures:
        if f.labels.get("stage") in _PEAKS and f.value is not None:
            by_quantity.setdefault(f.labels.get("quantity", ""), []).append(f)
    weights = {f.candidate: f.value for f in figures if f.labels.get("stage") == "weights" and f.value is not None}
    for quantity, found in by_quantity.items():
        most = max(f.value or 0.0 for f in found)
        drawn = [
            _memory_panel(name, [f for f in found if f.candidate == name], weights.get(name, 0.0), most)
            for name in names
        ]
        parts += [
            tag("h3", _QUANTITIES.get(quantity, quantity)),
            panels(*(panel for panel in drawn if panel is not None)),
        ]
    missing = [n for n in names if n not in {f.candidate for found in by_quantity.values() for f in found}]
    if missing:
        parts.append(tag("p", f"Without a breakdown: {', '.join(missing)}.", class_="muted"))
    return join([shade_legend([(0, "weights"), (2, "on top, at the peak of the stage")]), *parts])


def before_after(figures: Sequence[Figure], names: Sequence[str]) -> Html:
    """Held-out score before and after the fine-tune, with both intervals, and the gain."""
    content = []
    for i, name in enumerate(names):
        mine = {f.metric: f for f in figures if f.candidate == name}
        before, after, gain = mine.get("before"), mine.get("after"), mine.get("gain")
        if before is None or after is None or before.value is None or after.value is None:
            continue
        shown = show(gain)
        said = f"gain {shown.value}" + (f" [{shown.interval}]" if shown.interval else "")
        content.append(Change(i, name, said, before.value, after.value, interval(before), interval(after)))
    if not content:
        return tag("p", "No candidate was tuned.")
    about = "; ".join(f"{c.name}: from {c.before:.2f} to {c.after:.2f}, {c.text}" for c in content)
    return panels(changes("Before (hollow) and after the fine-tune", content, 0.0, 1.0, about=about))


def _memory_panel(name: str, figures: Sequence[Figure], weights: float, most: float) -> Html | None:
    if not figures:
        return None
    scale = scale_for("bytes", most)
    content = []
    for stage in _PEAKS:
        for f in figures:
            if f.labels["stage"] == stage and f.value is not None:
                base = min(weights, f.value)
                content.append(Stack(stage.replace("_", " "), scale.full(f.value), [(0, base), (2, f.value - base)]))
    return stacks(name, content, about="; ".join(f"{s.name} {s.text}" for s in content), largest=most)


_PEAKS = ("load", "vision_encode", "prefill", "decode")
_QUANTITIES = {
    "live_tensors": "Live tensors",
    "allocated": "Allocated",
    "reserved": "Reserved by the allocator",
    "process_above_load": "The process, above its size before the model was loaded",
}
