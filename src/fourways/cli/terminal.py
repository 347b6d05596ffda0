"""Where the commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import shutil
import sys

from rich.console import Console
from rich.text import Text

_PIPE_WIDTH = 120


def results() -> Console:
    """Standard output; 120 columns wide where it is no terminal, so that a saved table is not folded. Brackets in
    paths, messages and `[redacted]` are text, never markup."""
    width = None if sys.stdout.isatty() else max(_PIPE_WIDTH, shutil.get_terminal_size().columns)
    return Console(width=width, markup=False)


def notes() -> Console:
    """Standard error; no markup, as in `results`."""
    return Console(stderr=True, markup=False)


def err(message: str, hint: str | None, *, stopped: bool = False) -> None:
    """One line, and one for the hint; neither is wrapped, so that they can be searched and copied."""
    console = notes()
    label, style = ("", "bold") if stopped else ("error: ", "bold red")
    console.print(Text.assemble((label, style), message), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint: ", "bold"), hint), soft_wrap=True)
