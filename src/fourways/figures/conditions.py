"""Under which conditions a headline figure was measured, in words, from its own labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fourways.core.figure import AXES, Axis, Figure
from fourways.figures.latency import WORKLOADS
from fourways.figures.memory import PEAK, STAGE_PEAK

QUANTITIES = {
    "live_tensors": "live tensors",
    "allocated": "allocated",
    "reserved": "reserved by the allocator",
    "process_above_load": "the process, above its size before the model was loaded",
}
"""What a memory figure counts, in words."""
_CACHES = {"warm": "warm cache", "cold": "cold cache", "mixed": "cache as repeats made it"}
_ARRIVALS = {"poisson": "Poisson arrivals", "constant": "even arrivals", "closed": "requests always inside"}


def conditions(figures: Iterable[Figure]) -> dict[Axis, str]:
    """Axis → what its headline figures measured. Candidates that were measured differently are told apart by a
    semicolon; an axis without a value is left out."""
    said: dict[Axis, dict[str, None]] = {}
    for figure in figures:
        if figure.headline and figure.value is not None and (words := _words(figure)):
            said.setdefault(figure.axis, {})[words] = None
    return {axis: "; ".join(said[axis]) for axis in AXES if axis in said}


def process_growth(figures: Iterable[Figure]) -> dict[str, tuple[float, float]]:
    """Candidate → (its peak of tensors, the largest growth of its process), in bytes; those that grew by more only."""
    tensors: dict[str, float] = {}
    grown: dict[str, float] = {}
    for figure in figures:
        if figure.value is None:
            continue
        if figure.definition == PEAK.id:
            tensors[figure.candidate] = figure.value
        elif figure.definition == STAGE_PEAK.id and figure.labels.get("quantity") == "process_above_load":
            grown[figure.candidate] = max(grown.get(figure.candidate, 0.0), figure.value)
    return {name: (value, grown[name]) for name, value in tensors.items() if grown.get(name, 0.0) > value}


def _words(figure: Figure) -> str:
    match figure.axis:
        case "accuracy":
            return _accuracy(figure)
        case "latency":
            return _latency(figure)
        case "memory":
            return _memory(figure)
        case _:
            return figure.labels.get("task", "")


def _accuracy(figure: Figure) -> str:
    number = figure.labels.get("benchmarks", "")
    return f"mean over {number} benchmark{'' if number == '1' else 's'}" if number else ""


def _latency(figure: Figure) -> str:
    workload, cache = figure.labels.get("workload", ""), figure.labels.get("cache", "")
    words = WORKLOADS.get(workload.partition("@")[0])  # of every version
    named = f"{workload} ({words})" if words else workload
    return ", ".join(part for part in (named, _sent(figure.labels), _CACHES.get(cache, "")) if part)


def _sent(labels: Mapping[str, str]) -> str:
    """How requests were sent: that of a search, of an open loop, of a closed one."""
    if "slo" in labels:
        arrivals = labels.get("arrivals", "")
        return f"{_ARRIVALS.get(arrivals, arrivals)}, {labels['slo'].replace(',', ' and ')}"
    if "load" in labels:
        return labels["load"]
    at_once = labels.get("concurrency", "")
    return "one request at a time" if at_once == "1" else f"{at_once} requests at a time"


def _memory(figure: Figure) -> str:
    labels = figure.labels
    if "image" not in labels:
        return QUANTITIES.get(labels.get("quantity", ""), "")
    image = f"{labels['image'].replace('x', chr(215))} px"
    batch = "one image" if labels["batch"] == "1" else f"batch {labels['batch']}"
    return f"{batch} of {image}, {QUANTITIES.get(labels['quantity'], labels['quantity'])}"
