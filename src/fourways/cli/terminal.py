"""Where the commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from fourways.core.plain_text import clean

_PIPE_WIDTH = 120
_ANY_WIDTH = 10_000


class _Plain(Console):
    """Words that others wrote (a server's error, a name in a file) may not steer the terminal: control characters in
    plain strings are written out. No cell of a table is cut."""

    def print(self, *objects: Any, **options: Any) -> None:
        if not any(isinstance(one, Table) for one in objects):
            super().print(*(clean(one) if isinstance(one, str) else one for one in objects), **options)
            return
        for one in objects:
            if isinstance(one, Table):
                self._print_table(one)
            else:
                self.print(one, **options)

    def _print_table(self, table: Table) -> None:
        """As wide as it needs where nothing bounds it. In a terminal that is too narrow for its numbers, a line a cell.
        What stands below a table is as wide as the console, not as the table."""
        below, table.caption = table.caption, None
        for column in table.columns:
            if column.justify == "right":  # numbers: a fold would be read as two
                column.min_width = max(cell_len(line) for cell in _cells(column) for line in cell.splitlines() or [""])
        needed = self.measure(table, options=self.options.update(width=_ANY_WIDTH))
        if not self.is_terminal:
            self.width = max(self.width, needed.maximum)
        if needed.minimum <= self.width:
            super().print(table)
        else:
            for line in ([] if table.title is None else [str(table.title)]) + list(_stacked(table)):
                super().print(line, soft_wrap=True, highlight=False)
        if below is not None:
            super().print(below, soft_wrap=not self.is_terminal, style="dim", highlight=False)


def _cells(column: Column) -> list[str]:
    return [one.plain if isinstance(one, Text) else str(one) for one in (column.header, *column.cells)]


def _stacked(table: Table) -> Iterator[str]:
    """Each row as its first cell and, below it, the others by the names of their columns."""
    columns = [[" ".join(cell.split()) for cell in _cells(column)] for column in table.columns]
    heads = [column[0] for column in columns]
    for first, *others in zip(*(column[1:] for column in columns), strict=True):
        yield clean(first)
        yield from (clean(f"  {head}: {cell}") for head, cell in zip(heads[1:], others, strict=True) if cell)


def results() -> Console:
    """Standard output; 120 columns wide where it is no terminal, and more for a table that needs it. Brackets in
    paths, messages and `[redacted]` are text, never markup, and `:b:` in a key is no emoji."""
    width = None if sys.stdout.isatty() else max(_PIPE_WIDTH, shutil.get_terminal_size().columns)
    return _Plain(width=width, markup=False, emoji=False)


def notes() -> Console:
    """Standard error; no markup, as in `results`."""
    return _Plain(stderr=True, markup=False, emoji=False)


def err(message: str, hint: str | None, *, stopped: bool = False) -> None:
    """One line, and one for the hint; neither is wrapped, so that they can be searched and copied."""
    console = notes()
    label, style = ("", "bold") if stopped else ("error: ", "bold red")
    console.print(Text.assemble((label, style), clean(message)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint: ", "bold"), clean(hint)), soft_wrap=True)
