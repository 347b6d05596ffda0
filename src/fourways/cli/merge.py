"""`fourways merge`: the runs of all shards made into one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fourways.cli.terminal import notes

EXAMPLES = """
Examples:

fourways compare zoo:qwen --shard 1/2 --out shards/1

fourways compare zoo:qwen --shard 2/2 --out shards/2

fourways merge runs/whole shards/*

Refused, with what is wrong, if a shard is missing, twice there or unfinished, or if code, engine, weights or data were
not the same for all. The shards stay as they are.
"""


def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The merged run's folder: a new one.")],
    shards: Annotated[list[Path], typer.Argument(metavar="SHARD_RUN...", help="The folders of all shards' runs.")],
) -> None:
    """Make one run of the runs of all shards, after checking that they are one."""
    from fourways import compare as room
    from fourways.cli.compare import show_outcome

    show = room.show_on(notes())
    try:
        outcome = room.merge(out, shards, sys.argv, show)
    finally:
        show.close()
    show_outcome(outcome)
    if outcome.failures:
        raise typer.Exit(1)
