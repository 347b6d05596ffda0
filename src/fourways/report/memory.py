"""The memory section: what each stage of a request needs, and a training step, and what was foreseen of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways import figures
from fourways.core.figure import Figure
from fourways.figures.conditions import QUANTITIES
from fourways.report import over_time
from fourways.report.accuracy import every
from fourways.report.bars import Stack, stacks
from fourways.report.markup import Child, Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import scale_for, show
from fourways.report.plot import panels
from fourways.report.tables import defined, grid, number_cell, stacked
from fourways.report.timing import shade_legend

TENSORS = ("live_tensors", "allocated")
STAGES = ("load", "vision_encode", "prefill", "decode", "train_step")
NAMES = {"load": "loading", "vision_encode": "vision", "train_step": "training step"}
"""Stages whose name on the page is not their own."""
_WEIGHTS, _KEYS, _WORK = 0, 3, 2
"""Shades."""
_HOW = (
    "Every bar is the most that is alive within a stage of one request{step}; each repeat loads the model in a fresh "
    "process, and nothing is timed meanwhile."
)
_STEP = ", or within one LoRA training step on the same picture"
_FORESEEN = "The broken line is what the model's config alone foretold."
_SERVER = (
    "A server that reserves its memory as it starts holds as much as it was told to, not as much as it needs. "
    "This is what it said of itself, on the device that holds most:"
)


def section(m: Material) -> Html | None:
    """None where the axis was not run."""
    found, names = m.of_axis("memory"), m.names
    if not found:
        return None
    tensors = [f for f in found if _is_peak(f) and f.labels["quantity"] in TENSORS]
    return join(
        [
            *(_stages(tensors, found, names) if tensors else []),
            *over_time.chart(m.facts.timelines, names, NAMES),
            *_table(tensors, found, names),
            *_device(found, names),
            *_beside(found, names),
            *_servers(found, names),
            _missing(found, names),
            every("memory", found, names),
        ]
    )


def _is_peak(f: Figure) -> bool:
    return f.metric in ("stage_peak", "train_step_peak") and f.status == "ok" and f.value is not None


def _stages(tensors: Sequence[Figure], found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    """Each peak of tensors in its parts, one panel a candidate, all to one scale."""
    predicted = _by_reading(found, "predicted")
    most = max(f.value or 0.0 for f in (*tensors, *(predicted[_key(f)] for f in tensors if _key(f) in predicted)))
    drawn = []
    for name in names:
        content = [_stack(f, found, predicted.get(_key(f)), most) for f in _in_order(tensors, name)]
        if content:
            about = "; ".join(f"{stack.name}: {stack.text}" for stack in content)
            drawn.append(stacks(name, content, about=about, largest=most))
    shades = [(_WEIGHTS, "weights"), (_KEYS, "keys and values of the context (KV)"), (_WORK, "working tensors")]
    how = _HOW.format(step=_STEP if any(f.labels["stage"] == "train_step" for f in tensors) else "")
    said = f"{how} {_FORESEEN}" if any(_key(f) in predicted for f in tensors) else how
    quantities = sorted({f.labels["quantity"] for f in tensors})
    counted = [defined(QUANTITIES[q], _definition(tensors, q), figures.TEXTS) for q in quantities]
    listed = join([part for c in counted for part in (", ", c)][1:])
    return [tag("p", said), tag("p", "Counted: ", listed, "."), shade_legend(shades), panels(*drawn)]


def _definition(peaks: Sequence[Figure], quantity: str) -> str:
    return next(f.definition for f in peaks if f.labels["quantity"] == quantity)


def _stack(f: Figure, found: Sequence[Figure], predicted: Figure | None, most: float) -> Stack:
    scale = scale_for("bytes", most)
    weights, keys, work = _parts(f, found)
    segments = [(_WEIGHTS, weights), (_KEYS, keys), (_WORK, work)]
    return Stack(_stage(f), scale.full(f.value or 0.0), segments, predicted.value if predicted else None)


def _parts(f: Figure, found: Sequence[Figure]) -> tuple[float, float, float]:
    """Weights, keys and values, and the rest of a peak."""
    value = f.value or 0.0
    weights = min(value, next((g.value for g in _of(found, f.candidate, "weights") if g.value is not None), 0.0))
    work = next((g.value for g in _of(found, f.candidate, "activations") if g.labels == f.labels), None)
    if work is None:
        return weights, 0.0, value - weights
    return weights, max(0.0, value - weights - work), work


def _table(tensors: Sequence[Figure], found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    """The same in numbers, with what was predicted: a line for each stage, a column for each candidate."""
    if not tensors:
        return []
    stages = {_stage(f): f for f in sorted(tensors, key=_place)}
    shown = [name for name in names if any(f.candidate == name for f in tensors)]
    lines: list[tuple[Child, Sequence[Html]]] = []
    for stage in stages:
        mine = {f.candidate: f for f in tensors if _stage(f) == stage}
        lines.append((stage, [_cell(mine.get(name), found) for name in shown]))
    title = "Memory by stage, in numbers"
    return [tag("h3", title), grid(title, "stage", shown, lines)]


def _cell(f: Figure | None, found: Sequence[Figure]) -> Html:
    if f is None:
        return tag("td", "not measured", class_="num")
    parts = zip(_parts(f, found), ("weights", "KV", "working"), strict=True)
    below = [tag("span", f"{_bytes(size)} {what}", class_="n") for size, what in parts if size >= 1]
    predicted, ratio = _by_reading(found, "predicted").get(_key(f)), _by_reading(found, "predicted_over_measured")
    if predicted is not None and predicted.value is not None:
        held = ratio.get(_key(f))
        times = None if held is None else defined(f"×{show(held).value}", held.definition, figures.TEXTS)
        below.append(tag("span", f"{_bytes(predicted.value)} predicted", class_="n"))
        below.append(tag("span", times, class_="n"))
    return number_cell(show(f), *below, kind="wide")


def _bytes(size: float) -> str:
    return scale_for("bytes", size).full(size)


def _beside(found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    """Peaks that count more than tensors: what the allocator reserved, and the process."""
    parts: list[Html] = []
    for quantity, words in QUANTITIES.items():
        peaks = [f for f in found if _is_peak(f) and f.labels["quantity"] == quantity]
        if quantity in TENSORS or not peaks:
            continue
        most = max(f.value or 0.0 for f in peaks)
        scale = scale_for("bytes", most)
        drawn = []
        for name in names:
            content = [
                Stack(_stage(f), scale.full(f.value or 0.0), [(_WORK, f.value or 0.0)]) for f in _in_order(peaks, name)
            ]
            if content:
                about = "; ".join(f"{stack.name}: {stack.text}" for stack in content)
                drawn.append(stacks(name, content, about=about, largest=most))
        parts.append(tag("h3", defined(words[:1].upper() + words[1:], _definition(peaks, quantity), figures.TEXTS)))
        parts.append(panels(*drawn))
    return parts


def _device(found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    """On a GPU: what a stage takes of the card beside its tensors."""
    beside = [f for f in found if f.metric == "non_torch" and f.status == "ok"]
    if not beside:
        return []
    shown = [name for name in names if any(f.candidate == name for f in beside)]
    lines: list[tuple[Child, Sequence[Html]]] = []
    for stage in {_stage(f): f for f in sorted(beside, key=_place)}:
        mine = {f.candidate: f for f in beside if _stage(f) == stage}
        lines.append((stage, [_beyond(mine.get(name), found) for name in shown]))
    title = "What else the card gives"
    return [tag("h3", title), grid(title, "stage", shown, lines)]


def _beyond(f: Figure | None, found: Sequence[Figure]) -> Html:
    if f is None or f.value is None:
        return tag("td", "not measured", class_="num")
    where = {name: f.labels[name] for name in ("stage", "image", "batch")}
    same = [
        g for g in found if g.candidate == f.candidate and g.value is not None and where.items() <= g.labels.items()
    ]
    sizes = {g.labels.get("quantity", g.metric): g for g in same if not g.metric.startswith("predicted")}
    words = (("reserved", "reserved"), ("fragmentation", "of it in pieces"), ("device", "by the driver's count"))
    said = [f"{show(sizes[name]).value} {what}" for name, what in words if name in sizes]
    below = [tag("span", line, class_="n") for line in (*said, f"{_bytes(f.value)} beside the allocator")]
    return tag("td", *below, class_="num wide")


def _servers(found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    said: dict[str, dict[str, Figure]] = {}
    for f in found:
        if f.metric == "server_memory":
            said.setdefault(f.candidate, {})[f.labels["quantity"]] = f
    if not any(f.value is not None for by_quantity in said.values() for f in by_quantity.values()):
        return []
    heads = ("server", "#weights", "#activations at their peak", "#room for keys and values", "#tokens that fit")
    rows: list[Sequence[Child]] = []
    for name in (name for name in names if name in said):
        mine = said[name]
        sizes = [_quoted(mine.get(quantity)) for quantity in ("weights", "activation_peak", "kv_cache")]
        tokens = mine["kv_cache"].labels.get("tokens", "") if "kv_cache" in mine else ""
        rows.append([name, *sizes, f"{int(tokens):,}" if tokens else ""])
    title = "What servers reserved"
    return [tag("h3", title), tag("p", _SERVER), stacked(title, heads, rows)]


def _quoted(f: Figure | None) -> str:
    """A size without an interval: it was said once."""
    return "" if f is None else show(f).value


def _missing(found: Sequence[Figure], names: Sequence[str]) -> Html | None:
    """Candidates without a stage, and single readings that nobody could say."""
    heads = {f.candidate: show(f).value for f in found if f.headline}
    measured = {f.candidate for f in found if _is_peak(f)}
    lines = [f"{name}: {heads.get(name, 'not run')}" for name in names if name not in measured]
    for f in found:
        if f.candidate in measured and not f.headline and f.value is None and f.metric != "server_memory":
            what = f.labels.get("quantity") or NAMES["train_step"]
            lines.append(f"{f.candidate}, {what}: {show(f).value}")
    if not lines:
        return None
    return tag("div", tag("p", "Not measured:"), tag("ul", *(tag("li", line) for line in dict.fromkeys(lines))))


def _stage(f: Figure) -> str:
    stage = f.labels["stage"]
    alone = f"{NAMES.get(stage, stage)}, {f.labels['image'].replace('x', chr(215))} px"
    return alone if f.labels["batch"] == "1" else f"{alone}, batch {f.labels['batch']}"


def _in_order(peaks: Sequence[Figure], name: str) -> list[Figure]:
    return sorted((f for f in peaks if f.candidate == name), key=_place)


def _place(f: Figure) -> tuple[str, str, int]:
    return f.labels["batch"], f.labels["image"], STAGES.index(f.labels["stage"])


_Reading = tuple[str, str, str, str, str]


def _key(f: Figure) -> _Reading:
    return f.candidate, *(f.labels.get(name, "") for name in ("stage", "quantity", "image", "batch"))  # type: ignore[return-value]  # four names


def _by_reading(found: Sequence[Figure], metric: str) -> Mapping[_Reading, Figure]:
    return {_key(f): f for f in found if f.metric == metric}


def _of(found: Sequence[Figure], candidate: str, metric: str) -> list[Figure]:
    return [f for f in found if f.candidate == candidate and f.metric == metric]
