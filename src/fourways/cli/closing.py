"""The texts that close a help page, so that the terminal alone breaks their lines."""

from __future__ import annotations

from typing import Any

import typer


def unbreak(app: typer.Typer) -> None:
    """Puts each paragraph of every closing text below this app on one line: the help page keeps the breaks of the
    source, and would break its lines a second time."""
    for part in (app.info, *app.registered_commands, *app.registered_groups):
        _mend(part)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            unbreak(group.typer_instance)


def _mend(part: Any) -> None:
    if isinstance(part.epilog, str):
        part.epilog = "\n\n".join(" ".join(one.split("\n")) for one in part.epilog.strip().split("\n\n"))
