"""Tables: the one of an axis with all its figures, and plain ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways.core.figure import Figure
from fourways.report.markup import Child, Html, join, tag
from fourways.report.numbers import Shown, show

MOST_LINES = 8
"""Of a table that is open from the start."""
FigureKey = tuple[str, str, tuple[tuple[str, str], ...]]


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Child]]) -> Html:
    """A table that scrolls inside its own frame. A head that begins with # is a column of numbers."""
    numeric = [h.startswith("#") for h in heads]
    top = tag(
        "tr", *(tag("th", h.lstrip("#"), scope="col", class_=_num(n)) for h, n in zip(heads, numeric, strict=True))
    )
    body = [tag("tr", *(tag("td", cell, class_=_num(n)) for cell, n in zip(row, numeric, strict=True))) for row in rows]
    inner = tag("table", tag("thead", top), tag("tbody", *body))
    return tag("div", inner, class_="scroll", role="region", aria_label=title, tabindex=0)


def stacked(title: str, heads: Sequence[str], rows: Sequence[Sequence[Child]]) -> Html:
    """As `table`; on a phone each row is a card, and each cell stands under its head. Nothing scrolls."""
    numeric = [h.startswith("#") for h in heads]
    words = [h.lstrip("#") for h in heads]
    top = tag("tr", *(tag("th", w, scope="col", class_=_num(n)) for w, n in zip(words, numeric, strict=True)))
    body = [
        tag("tr", *(tag("td", c, class_=_num(n), data_head=w) for c, w, n in zip(row, words, numeric, strict=True)))
        for row in rows
    ]
    return tag("table", tag("thead", top), tag("tbody", *body), class_="stacked", aria_label=title)


def folded(title: str, content: Html, lines: int) -> Html:
    """A table beside pictures that say the same: where it is long, it is opened by a tap."""
    return content if lines <= MOST_LINES else tag("details", tag("summary", title), content)


def grid(title: str, corner: Child, heads: Sequence[Child], body: Sequence[tuple[Child, Sequence[Html]]]) -> Html:
    """A table of numbers that scrolls inside its own frame; the heads of its lines stay in sight. body: the head of a
    line and its cells, each a `td`."""
    top = tag("tr", tag("th", corner, scope="col"), *(tag("th", h, scope="col", class_="num") for h in heads))
    lines = [tag("tr", tag("th", head, scope="row"), *cells) for head, cells in body]
    inner = tag("table", tag("thead", top), tag("tbody", *lines), class_="grid")
    return tag("div", inner, class_="scroll", role="region", aria_label=title, tabindex=0)


def number_cell(shown: Shown, *below: Child, kind: str = "") -> Html:
    """A `td` with value, interval and n. kind: further classes."""
    return tag("td", cell(shown), *below, class_=f"num {kind}".rstrip())


def figure_table(title: str, figures: Sequence[Figure], names: Sequence[str], texts: Mapping[str, str]) -> Html:
    """Every figure of an axis: a line for each metric and what it is of, a column for each candidate."""
    found: dict[FigureKey, dict[str, Figure]] = {}
    for figure in figures:
        key = (figure.metric, figure.definition, tuple(sorted(figure.labels.items())))
        found.setdefault(key, {})[figure.candidate] = figure
    rows = [
        (
            defined(metric.replace("_", " "), definition, texts),
            ", ".join(f"{k} {v}" for k, v in labels),
            *(cell(show(by_name.get(name))) if name in by_name else "" for name in names),
        )
        for (metric, definition, labels), by_name in found.items()
    ]
    return table(title, ("metric", "of", *(f"#{name}" for name in names)), rows)


def cell(shown: Shown) -> Html:
    """Value, interval and n, one below the other."""
    return join(
        [
            tag("span", shown.value, class_="value" if shown.measured else "value none"),
            tag("span", shown.interval, class_="interval") if shown.interval else None,
            tag("span", shown.n, class_="n") if shown.n else None,
        ]
    )


def defined(name: str, definition: str, texts: Mapping[str, str]) -> Html:
    """A metric's name that leads to its definition: on hover its words, on tap the appendix."""
    return tag("a", name, href=f"#{anchor(definition)}", title=texts.get(definition, definition))


def anchor(definition: str) -> str:
    """The id of a definition in the appendix."""
    return "def-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in definition)


def _num(numeric: bool) -> str | None:
    return "num" if numeric else None
