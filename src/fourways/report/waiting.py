"""What the first token waited for: ttft cut into its parts."""

from __future__ import annotations

from collections.abc import Sequence

from fourways import figures
from fourways.core.events import STAGES
from fourways.core.figure import Figure
from fourways.figures.requests import DISPATCH, REST
from fourways.report.bars import Stack, stacks
from fourways.report.markup import Html, tag
from fourways.report.numbers import scale_for
from fourways.report.plot import panels
from fourways.report.tables import defined
from fourways.report.timing import CACHES, shade_legend

_PARTS = (DISPATCH, *STAGES[: STAGES.index("decode")], REST)
_SHADES = {stage: index for index, stage in enumerate(STAGES)} | {DISPATCH: len(STAGES), REST: len(STAGES) + 1}
"""A stage has the same shade here as in the picture of the whole time."""
_WORDS = {DISPATCH: "client's own delay", REST: "not explained by a stage"}
_SAID = (
    "Mean times; the parts add up to the mean ttft. Of a server by URL only the client's side is known, so nearly all "
    "of it is unexplained."
)

Place = tuple[str, str, str]
"""Workload, load in words, cache."""


def parts(found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    """One panel a setting, a bar a candidate. Empty where no request had a first token."""
    placed: dict[Place, dict[str, dict[str, Figure]]] = {}
    for f in found:
        if f.metric == "ttft_part" and f.value is not None:
            placed.setdefault(_place(f), {}).setdefault(f.candidate, {})[f.labels["stage"]] = f
    if not placed:
        return []
    seen = {part for by_name in placed.values() for of in by_name.values() for part in of}
    largest = max(_total(of) for by_name in placed.values() for of in by_name.values())
    definition = next(f.definition for f in found if f.metric == "ttft_part")
    return [
        tag("h3", defined("What the first token waited for", definition, figures.TEXTS)),
        tag("p", _SAID),
        shade_legend([(_SHADES[p], _WORDS.get(p, p.replace("_", " "))) for p in _PARTS if p in seen]),
        panels(*(_panel(place, placed[place], names, largest) for place in placed), kind="pairs"),
    ]


def _place(f: Figure) -> Place:
    load = f.labels.get("load") or f"concurrency {f.labels.get('concurrency', '')}"
    return f.labels.get("workload", ""), load, f.labels.get("cache", "")


def _panel(place: Place, by_name: dict[str, dict[str, Figure]], names: Sequence[str], largest: float) -> Html:
    workload, load, cache = place
    content = []
    for name in names:
        if of := by_name.get(name):
            total = _total(of)
            segments = [(_SHADES[part], max(0.0, of[part].value or 0.0)) for part in _PARTS if part in of]
            content.append(Stack(name, scale_for("ms", total).full(total), segments))
    said = "; ".join(
        f"{name}: " + ", ".join(f"{_WORDS.get(p, p)} {of[p].value:.1f} ms" for p in _PARTS if p in of)
        for name, of in by_name.items()
    )
    return stacks(f"ttft, {load}, {CACHES.get(cache, cache)}, {workload}", content, about=said, largest=largest)


def _total(of: dict[str, Figure]) -> float:
    return sum(f.value or 0.0 for f in of.values())
