"""`fourways compare`: the main job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError
from fourways.core.figure import AXES

if TYPE_CHECKING:
    from fourways.cli.options import Options
    from fourways.compare import Outcome
    from fourways.figures import Clause

EXAMPLES = """
Examples:

fourways compare

fourways compare zoo:qwen ./my-checkpoint server=http://localhost:8000/v1 --axes accuracy,latency --limit 200

fourways compare candidates.yaml --suite mme=/data/MME_Benchmark_release_version --device cuda --dtype bfloat16

fourways compare Qwen2.5-VL-7B-Instruct --weights random --axes latency,memory --device cuda --dtype bfloat16

fourways compare --visual-tokens native,256 --require 'p95<500ms,fits=24GB'

fourways compare --resume runs/2026-11-22T10-04-05Z-qwen-llava-internvl

fourways compare Qwen/Qwen2.5-VL-7B-Instruct --axes accuracy --device cuda --dtype bfloat16 --replicas 8

fourways compare zoo:qwen --axes accuracy --ray auto --replicas 16

fourways compare zoo:qwen --shard 3/16 --out shards/3

fourways compare server=http://localhost:8000/v1 --axes accuracy --concurrency 256

Exit codes: 0 all measured; 1 a candidate lost an axis or benchmark, or a fault of ours; 2 your mistake; 130 Ctrl-C.
"""

_CANDIDATES = (
    "Embedded model (zoo:qwen; zoo for all), folder, registered name, Hugging Face id, server, or file of candidates."
)
_SUITE = "Folder with suite.json, YAML file, KEY=PATH, or KEY of pulled data; repeatable; else the embedded one."


def compare(
    context: typer.Context,
    candidates: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL|NAME=URL|FILE.yaml]...", help=_CANDIDATES, show_default="zoo")
    ] = None,
    suite: Annotated[list[str] | None, typer.Option(metavar="S", help=_SUITE)] = None,
    axes: Annotated[str, typer.Option(help=f"Any of {', '.join(AXES)}.")] = ",".join(AXES),
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    limit: Annotated[int | None, typer.Option(min=1, help="Samples a benchmark, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 7,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder; unless given, a new one in runs/")
    ] = None,
    weights: Annotated[str, typer.Option(help="trained, or random: built from the config alone.")] = "trained",
    visual_tokens: Annotated[
        str, typer.Option(metavar="BUDGETS", help="At most so many visual tokens an image: native,256,1024.")
    ] = "native",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, be fetched and fit; stop.")] = False,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with a run that was stopped.")] = None,
    add: Annotated[
        tuple[str, Path] | None, typer.Option(metavar="MODEL RUN", help="Measure one more candidate into an old run.")
    ] = None,
    require: Annotated[str | None, typer.Option(metavar="'…'", help="Who qualifies: 'p95<500ms,fits=24GB'.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="40 samples a benchmark, short axes: a first look.")] = False,
    no_images: Annotated[bool, typer.Option("--no-images", help="Keep the pictures out of the page.")] = False,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Accuracy: N processes on the CPU, or on N cards."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Accuracy: actors of a Ray cluster; auto, local or HOST:PORT.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/OF", help="Accuracy: only part I of OF; see `fourways merge`.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, max=4096, metavar="N", show_default="64", help="Accuracy: requests in flight to a server by URL."
        ),
    ] = None,
) -> None:
    """Compare models in four ways: accuracy, latency, memory, tunability."""
    from fourways.cli.options import Options

    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
    options = Options(**context.params, given=given)
    clauses = _clauses(require)
    if dry_run:
        _foresee(options)
        return
    outcome = _run(options)
    show_outcome(outcome, clauses)
    if outcome.failures:
        raise typer.Exit(1)


def _clauses(require: str | None) -> Sequence[Clause]:
    from fourways.figures import parse_requirements

    if require is None:
        return ()
    if not require.strip():
        raise UserError("--require names no condition", hint="write conditions like p95<500ms,fits=24GB")
    return parse_requirements(require)


def _run(options: Options) -> Outcome:
    from transformers.utils import logging

    from fourways import compare as room
    from fourways.cli import options as asked

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    show = room.show_on(notes())
    try:
        if options.add is not None:
            asked.check_add(options)
            model, run = options.add
            return room.add(run, asked.asked_candidates(options, [model]), sys.argv, show)
        if options.resume is not None:
            return room.resume(options.resume, asked.resumed_job(options, options.resume), show)
        return room.start(asked.new_job(options), show)
    finally:
        show.close()


def show_outcome(outcome: Outcome, clauses: Sequence[Clause] = ()) -> None:
    """The table, who qualifies, what was lost, and where everything is."""
    from fourways.cli import verdicts
    from fourways.core.run_files import read_header
    from fourways.report import slowed, terminal_table

    console = results()
    console.print(terminal_table(outcome.summary))
    if busy := slowed(read_header(outcome.folder)):
        console.print(busy, soft_wrap=True, highlight=False)
    if clauses:
        verdicts.show(clauses, outcome.summary, console)
    for failure in outcome.failures:
        where = ": ".join(part for part in (failure.candidate, failure.axis, failure.where) if part)
        notes().print(f"{where}: {failure.message}", soft_wrap=True, highlight=False)
        if failure.hint:
            notes().print(f"hint: {failure.hint}", soft_wrap=True, highlight=False)
    for one in outcome.partly:
        said = f"{one.failed:,} of {one.asked:,} requests failed, counted as wrong; the first: {one.first}"
        notes().print(f"{one.candidate}: {one.benchmark}: {said}", soft_wrap=True, highlight=False)
    if outcome.try_again:
        notes().print(f"to try again what failed: fourways compare --resume {outcome.folder}", soft_wrap=True)
    console.print(f"run: {outcome.folder}\nreport: {outcome.report}", soft_wrap=True, highlight=False)


def _foresee(options: Options) -> None:
    from fourways.cli.foresight import show
    from fourways.cli.options import foreseen_job
    from fourways.compare import foresee

    foresight = foresee(foreseen_job(options))
    show(foresight, results())
    if code := max((one.exit_code for one in foresight.candidates), default=0):
        raise typer.Exit(code)
