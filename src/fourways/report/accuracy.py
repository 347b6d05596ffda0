"""The accuracy section: candidates by benchmarks, the normalised score beside its raw value, and every category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways import figures
from fourways.core.figure import Figure
from fourways.report import figures_shown
from fourways.report.breakdown import breakdown
from fourways.report.markup import Child, Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.tables import cell, defined, figure_table, grid, number_cell

MOST_DRAWN = 8
"""Benchmarks of which a picture is drawn; with more, the table says it better."""
_TIES = (
    "A secondary reading: the raw score clipped to the quartiles of a frozen list of models, then put on a logistic "
    "curve. Whoever lies below the first quartile or above the third is tied with all others there, by construction: "
    "rank by the raw value, which stands below it."
)


def section(m: Material) -> Html | None:
    """None where the axis was not run."""
    found = m.of_axis("accuracy")
    if not found:
        return None
    return join(
        [
            _table(m),
            _drawn(m, found),
            *_normalised(m, found),
            *breakdown(m, found),
            every("accuracy", found, m.names),
        ]
    )


def every(axis: str, found: Sequence[Figure], names: Sequence[str]) -> Html:
    """All figures of an axis, folded; differences between candidates have a section of their own."""
    shown = [f for f in found if "versus" not in f.labels]
    said = f"All {len(shown):,} figures of this axis" if len(shown) > 1 else "The only figure of this axis"
    return tag("details", tag("summary", said), figure_table(axis, shown, names, figures.TEXTS))


def metric_of(found: Mapping[str, Figure]) -> Html:
    """The name of a metric, with its unit where that is no share; leads to its definition."""
    first = next(iter(found.values()))
    return defined(first.metric.replace("_", " "), first.definition, figures.TEXTS)


def _table(m: Material) -> Html:
    lines: list[tuple[Child, Sequence[Html]]] = []
    if m.aggregates:
        head = join([metric_of(m.aggregates), tag("span", "mean of the benchmarks below", class_="of")])
        lines.append((head, [number_cell(show(m.aggregates.get(name)), kind="total") for name in m.names]))
    for key in m.benchmarks:
        by_name = {name: m.primaries[name, key] for name in m.names if (name, key) in m.primaries}
        if by_name:
            head = join([m.title(key), tag("span", metric_of(by_name), class_="of")])
            lines.append((head, [number_cell(show(by_name.get(name))) for name in m.names]))
    words = (
        "The primary metric of each benchmark: the value, its 95 % interval, and how many independent units it rests "
        "on. Unreadable and failed answers count as wrong."
    )
    return join([tag("p", words), grid("Accuracy by benchmark", "benchmark", [tag("bdi", n) for n in m.names], lines)])


def _drawn(m: Material, found: Sequence[Figure]) -> Html | None:
    if len(m.benchmarks) > MOST_DRAWN:
        return None
    return figures_shown.benchmark_bars(found, m.names, m.titles, figures.TEXTS)


def _normalised(m: Material, found: Sequence[Figure]) -> list[Html]:
    """Normalised scores, each with its raw value below it; nothing where no suite of the run has a reference."""
    scores = [f for f in found if f.metric == "normalised"]
    if not any(f.value is not None for f in scores):
        return []
    spread = {f.labels.get("benchmark", ""): f for f in found if f.metric == "normalised_sd"}
    lines: list[tuple[Child, Sequence[Html]]] = []
    for key in m.benchmarks:
        by_name = {f.candidate: f for f in scores if f.labels.get("benchmark") == key}
        if by_name:
            lines.append((_normalised_head(m, key, by_name, spread.get(key)), _normalised_cells(m, key, by_name)))
    heads = [tag("bdi", name) for name in m.names]
    return [
        tag("h3", "Normalised score"),
        tag("p", _TIES),
        grid("Normalised score", "benchmark", heads, lines),
    ]


def _normalised_head(m: Material, key: str, by_name: Mapping[str, Figure], spread: Figure | None) -> Html:
    labels = next(iter(by_name.values())).labels
    of = " ".join(part for part in (labels.get("of", "").replace("_", " "), labels.get("edition", "")) if part)
    reference = labels.get("reference", "")
    named = f", reference {reference}" if reference else ""
    said = join([metric_of(by_name), f" of {of}{named}" if of else named])
    deviation = None
    if spread is not None and spread.value is not None:
        deviation = tag("span", f"standard deviation {show(spread).value}", class_="of")
    return join([m.title(key), tag("span", said, class_="of"), deviation])


def _normalised_cells(m: Material, key: str, by_name: Mapping[str, Figure]) -> list[Html]:
    cells = []
    for name in m.names:
        raw = m.primaries.get((name, key))
        below = None if raw is None else tag("span", "raw ", show(raw).value, class_="n")
        cells.append(tag("td", cell(show(by_name.get(name))), below, class_="num"))
    return cells
