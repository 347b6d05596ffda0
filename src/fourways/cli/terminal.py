"""Where the commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from fourways.core.plain_text import clean

_PIPE_WIDTH = 120


class _Plain(Console):
    """Words that others wrote (a server's error, a name in a file) may not steer the terminal: control characters in
    plain strings are written out."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(clean(one) if isinstance(one, str) else one for one in objects), **options)


def results() -> Console:
    """Standard output; 120 columns wide where it is no terminal, so that a saved table is not folded. Brackets in
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
