"""The help pages of all commands, as an 80-column terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fourways.cli.main import app

COLUMNS = 80


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if command.epilog:
        yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def closing_text(path: tuple[str, ...]) -> list[list[str]]:
    """Below the last box: paragraphs of lines."""
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": str(COLUMNS)})
    assert done.exit_code == 0
    closing = done.output.rpartition("\u256f")[2].strip("\n")
    lines = [line.strip() for line in closing.split("\n")]
    paragraphs = "\n".join(lines).strip().split("\n\n")
    return [one.split("\n") for one in paragraphs]


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_no_line_of_a_closing_text_is_broken_before_it_is_full(path: tuple[str, ...]) -> None:
    found = closing_text(path)
    assert found[0][0]
    for paragraph in found:
        for line, below in pairwise(paragraph):
            assert len(line) + 1 + len(below.split()[0]) > COLUMNS - 2, (line, below)


def test_env_pin_says_where_its_own_options_end() -> None:
    done = CliRunner().invoke(app, ["env", "pin", "--help"], env={"COLUMNS": str(COLUMNS)})
    assert "fourways env pin [OPTIONS] -- {COMMAND}..." in done.output
