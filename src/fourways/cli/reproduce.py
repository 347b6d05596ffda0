"""`fourways reproduce`: the same run again, and whether it came out the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import notes
from fourways.core.errors import UserError
from fourways.core.figure import AXES

if TYPE_CHECKING:
    from fourways.compare.reproduce import Reproduction
    from fourways.core.figure import Axis
    from fourways.core.run import RunHeader
    from fourways.core.verdict import Comparison

EXAMPLES = """
Examples:

fourways reproduce runs/2026-11-22T10-04-05Z-qwen-llava-internvl

fourways reproduce runs/old --axes accuracy,memory --out again

fourways reproduce runs/old --starts 5 --html comparison.html

fourways reproduce runs/old --rerun again/run --rerun again/latency-2 --json > comparison.json

Each candidate gets a verdict on the hashes and on each axis: reproduced, not reproduced, or not comparable, which says
why nothing can be said (another machine, other versions, a machine less steady than the effect). docs/reproduce.md has
the rules.

Exit codes: 0 nothing was seen to differ; 1 something is not reproduced; 2 the run cannot be run again, or your mistake;
130 Ctrl-C.
"""
_STARTS = "Fresh starts of the latency axis in all: they show how far this machine's times differ by themselves."
_RERUN = "Judge this re-run, which is there, and run nothing; repeat for further starts of its latency axis."


def reproduce(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of the run to repeat.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the re-runs go; unless given, a new folder in runs/")
    ] = None,
    axes: Annotated[str | None, typer.Option(help="Some of the run's axes.", show_default="all that it has")] = None,
    starts: Annotated[int, typer.Option(min=1, max=50, metavar="N", help=_STARTS)] = 3,
    rerun: Annotated[list[Path] | None, typer.Option(metavar="DIR", help=_RERUN)] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comparison as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Run a run again from its header, and judge whether it came out the same."""
    from fourways.cli.diff import check_page, show_comparison

    check_page(html)
    if rerun:
        comparison, header = _judged(run, rerun, out, axes)
    else:
        made = _again(run, out, _axes(axes), starts)
        comparison, header = made.comparison, made.header
        notes().print(f"re-runs: {made.folder}", soft_wrap=True, highlight=False)
    show_comparison(comparison, header, html, as_json=as_json)
    if any(one.verdict == "not reproduced" for one in comparison.verdicts):
        raise typer.Exit(1)


def _judged(run: Path, reruns: Sequence[Path], out: Path | None, axes: str | None) -> tuple[Comparison, RunHeader]:
    """The comparison and the header of the re-run, without importing what runs models."""
    from fourways.evidence.comparison import Facts, judge

    if out is not None or axes is not None:
        raise UserError("--rerun runs nothing, so --out and --axes have no meaning beside it", hint="leave them out")
    old, new, *further = Facts.read_all([run, *reruns])
    return judge(old, new, further), new.header


def _again(run: Path, out: Path | None, axes: Sequence[Axis], starts: int) -> Reproduction:
    from transformers.utils import logging

    from fourways import compare as room
    from fourways.compare.reproduce import reproduce as run_again

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    show = room.show_on(notes())
    try:
        return run_again(run, show=show, out=out, axes=axes, starts=starts, argv=sys.argv)
    finally:
        show.close()


def _axes(text: str | None) -> tuple[Axis, ...]:
    if text is None:
        return ()
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or (unknown := [word for word in words if word not in AXES]):
        wrong = f"there is no axis {unknown[0]!r}" if words else "it names no axis"
        raise UserError(f"--axes: {wrong}", hint=f"the axes are {', '.join(AXES)}")
    return tuple(axis for axis in AXES if axis in words)
