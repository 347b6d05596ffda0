"""No cell of a table is cut, however narrow the place is in which it stands."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from fourways.cli.terminal import _Plain

INTERVAL = "[1,234.5, 1,888.25]"


def wide() -> Table:
    table = Table(caption="a note of several words that is longer than thirty columns")
    table.add_column("candidate", overflow="fold")
    for number in range(12):
        table.add_column(f"column {number}", justify="right")
    table.add_row("a", *(f"{number}\n{INTERVAL}" for number in range(12)))
    return table


def printed(width: int, *, terminal: bool) -> str:
    console = _Plain(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    console.print(wide())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "terminal"), [(120, False), (30, False), (30, True), (80, True), (400, True)])
def test_every_cell_stands_there_whole(width: int, terminal: bool) -> None:
    said = printed(width, terminal=terminal)
    assert said.count(INTERVAL) == 12 and all(f"column {number}" in said for number in range(12))


def test_a_piped_table_keeps_a_row_on_its_lines_and_its_note_on_one() -> None:
    said = printed(80, terminal=False)
    assert any(line.count(INTERVAL) == 12 for line in said.splitlines())
    assert "a note of several words that is longer than thirty columns" in said.splitlines()


def test_a_narrow_terminal_is_told_a_line_a_cell() -> None:
    said = printed(40, terminal=True).splitlines()
    assert said[0] == "a" and said[1] == f"  column 0: 0 {INTERVAL}"
