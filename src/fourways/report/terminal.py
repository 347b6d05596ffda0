"""The table that the command line prints at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from fourways import figures
from fourways.core.figure import AXES, Axis, Figure, Summary
from fourways.core.plain_text import clean
from fourways.report.numbers import Shown, show
from fourways.report.result import Headlines, growth, headlines, names_of


def terminal_table(summary: Summary) -> Table:
    """Candidates by axes: value, 95 % interval and n, or in a word why there is none. What a word leaves out stands
    once below the table; of what failed, the command line prints every message by itself."""
    cells = headlines(summary.figures)
    names = names_of(summary, [])
    measured = [f"{axis}: {said}" for axis, said in figures.conditions(summary.figures).items()]
    said = [*measured, *_client_bound(cells), *growth(summary.figures), *_reasons(cells)]
    caption = Text(clean("\n".join(said)), style="dim")
    table = Table(box=box.SIMPLE_HEAD, show_lines=True, pad_edge=False, caption=caption, caption_justify="left")
    table.add_column("candidate", overflow="fold")
    for axis in AXES:
        table.add_column(_head(axis, [cells[key] for key in cells if key[1] == axis]), justify="right", overflow="fold")
    for name in names:
        table.add_row(Text(clean(name), style="bold"), *(_cell(show(cells.get((name, axis)))) for axis in AXES))
    return table


def _head(axis: Axis, found: Sequence[Figure]) -> Text:
    head = Text(axis)
    if found:
        arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[found[0].direction]
        head.append(f"{arrow}\n{found[0].metric}", style="dim")
    return head


def _cell(shown: Shown) -> Text:
    cell = Text(clean(shown.short), style="bold" if shown.measured else "dim")
    if shown.interval:
        cell.append(f"\n[{shown.interval}]", style="not bold")
    if shown.n:
        cell.append(f"\n{shown.n}", style="not bold dim")
    return cell


def _client_bound(cells: Headlines) -> list[str]:
    """A line for each candidate whose headline time may be the load client's own, as the page says it."""
    return [
        f"{axis} of {name} is an upper bound: the load client did not keep up ({figure.reason})"
        for (name, axis), figure in cells.items()
        if figure.value is not None and figure.reason is not None and "client-bound" in figure.reason
    ]


def _reasons(cells: Headlines) -> list[str]:
    """Each reason that a cell had no room for, once, with the candidates that it holds for."""
    whose: dict[str, list[str]] = {}
    for (name, axis), figure in cells.items():
        shown = show(figure)
        if shown.short != shown.value and figure.status != "failed":
            whose.setdefault(f"{axis}: {shown.value}", []).append(name)
    return [f"{reason} ({', '.join(names)})" for reason, names in whose.items()]
