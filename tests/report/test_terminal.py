"""The table of the command line: value, interval and n in every cell, or why not."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from fourways.core.run_files import read_summary
from fourways.report import terminal_table


def printed(run: Path, width: int) -> str:
    console = Console(width=width, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(terminal_table(read_summary(run)))
    return console.export_text()


def test_every_candidate_has_a_line_and_every_axis_a_column(made_up_run: Path) -> None:
    text = printed(made_up_run, 120)
    for word in ("qwen", "llava", "far-away-server", "accuracy", "latency", "memory", "tuning"):
        assert word in text
    assert text.count("n = ") == 10
    assert text.count("undefined: no access") == 2


def test_a_narrow_terminal_gets_the_whole_table(made_up_run: Path) -> None:
    text = printed(made_up_run, 60)
    assert all(len(line) <= 60 for line in text.splitlines())
    assert "…" not in text
