"""A benchmark by category: the same metric over a part of the samples, for every candidate."""

from __future__ import annotations

from collections.abc import Sequence

from fourways import figures
from fourways.core.figure import Figure
from fourways.report.markup import Child, Html, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.tables import defined, grid, number_cell

NOT_PARTS = frozenset({"benchmark", "versus", "confidence", "bin", "among", "judge", "of", "edition", "reference"})
"""Labels that say something else than which part of a benchmark a figure is of."""
STEPS = 8
_POINTS = "points of "
_OPEN = 3
"""So many benchmarks stand unfolded."""


def breakdown(m: Material, found: Sequence[Figure]) -> list[Html]:
    """For each benchmark that has parts, a table for each kind of part (category, subtask, question type, split)."""
    parts: dict[str, dict[tuple[str, str], list[Figure]]] = {}
    for f in found:
        of = [label for label in f.labels if label not in NOT_PARTS]
        if "benchmark" in f.labels and len(of) == 1 and "versus" not in f.labels:
            parts.setdefault(f.labels["benchmark"], {}).setdefault((of[0], f.metric), []).append(f)
    if not parts:
        return []
    words = (
        "The darker, the closer to the best possible value. Few samples make wide intervals; where a part has too few, "
        "that is said in place of a number."
    )
    body = [
        tag(
            "details",
            tag("summary", m.title(key)),
            *(_part(m, label, of) for (label, _), of in parts[key].items()),
            open=len(parts) <= _OPEN,
        )
        for key in m.benchmarks
        if key in parts
    ]
    return [tag("h3", "By category"), tag("p", words), *body]


def _part(m: Material, label: str, found: Sequence[Figure]) -> Html:
    values: dict[str, dict[str, Figure]] = {}
    for f in found:
        values.setdefault(f.labels[label], {})[f.candidate] = f
    lines: list[tuple[Child, Sequence[Html]]] = []
    for value, by_name in values.items():
        cells = [_cell(by_name[name]) if name in by_name else tag("td", "", class_="num") for name in m.names]
        lines.append((tag("bdi", value), cells))
    corner = defined(
        f"{label.replace('_', ' ')}: {found[0].metric.replace('_', ' ')}", found[0].definition, figures.TEXTS
    )
    return grid(f"{label.replace('_', ' ')}", corner, [tag("bdi", name) for name in m.names], lines)


def _cell(figure: Figure) -> Html:
    shown = show(figure)
    return number_cell(shown, kind=f"heat{shade(figure)}" if shown.measured else "")


def shade(figure: Figure) -> int:
    """0 (the least possible value) to STEPS (the best)."""
    most = float(figure.unit.removeprefix(_POINTS)) if figure.unit.startswith(_POINTS) else 1.0
    share = (figure.value or 0.0) / most
    return round(STEPS * min(1.0, max(0.0, 1.0 - share if figure.direction == "lower" else share)))
