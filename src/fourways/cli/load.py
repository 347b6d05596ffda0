"""`fourways load`: candidates under load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import notes, results

if TYPE_CHECKING:
    from fourways.compare import Outcome
    from fourways.compare.loading import LoadJob

EXAMPLES = """
Examples:

fourways load zoo:qwen --concurrency 1,2,4,8

fourways load server=http://localhost:8000/v1 --rate 20 --duration 60 --slo ttft_p95=500ms,tpot_p95=50ms,failures=1%

fourways load server=http://localhost:8000/v1 --slo ttft_p95=500ms --workload chat-mixed

fourways load server=http://localhost:8000/v1 --slo e2e_p99=2s --search concurrency

fourways load zoo:qwen zoo:internvl --concurrency 8 --restarts 5

fourways load candidates.yaml --ramp 1:20 --requests 500 --price-per-hour '2.50 EUR'

fourways load server=http://localhost:8000/v1 --replay traffic.jsonl

With --slo and no load it searches for the greatest rate that meets it. A run of times cannot be gone on with later.

Exit codes: 0 all measured, and the --slo met; 1 a candidate answered nothing, or missed the --slo, or a fault of ours;
2 your mistake; 130 Ctrl-C (what was measured is kept).
"""
_TARGETS = (
    "Embedded model (zoo:qwen), folder, registered name, Hugging Face id, a server's [NAME=]URL, or candidates file."
)


def load(
    context: typer.Context,
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...", help=_TARGETS)],
    concurrency: Annotated[
        str | None, typer.Option(metavar="N[,N…]", help="Closed loop: so many requests inside; several: a sweep.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="R[,R…]", help="Open loop: requests a second; several: a sweep.")
    ] = None,
    arrivals: Annotated[str, typer.Option(help="Of --rate and of a search: poisson or constant.")] = "poisson",
    ramp: Annotated[
        str | None, typer.Option(metavar="FROM:TO", help="Open loop at a rate that grows, requests a second.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recorded traffic (JSON lines or CSV), at its own instants.")
    ] = None,
    workload: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="What is asked; describe-32, chat-mixed, … or a file.")
    ] = "describe-32",
    requests: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default="200; all of a replay", help="Of each candidate at each load."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="S", help="About so many seconds at each load; of a probe, 60 at most."),
    ] = None,
    warm_up: Annotated[int, typer.Option(min=1, metavar="N", help="Requests before each load, in no figure.")] = 8,
    blocks: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default="4; 1 of a ramp or a replay",
            help="Parts of each load, in which candidates take turns; a ramp or a replay is sent so many times.",
        ),
    ] = None,
    restarts: Annotated[
        int, typer.Option(min=0, metavar="N", help="A/B: fresh starts of each local model, taking turns.")
    ] = 0,
    slo: Annotated[
        str | None, typer.Option(metavar="'…'", help="What must hold: ttft_p95=500ms,tpot_p95=50ms,failures=1%.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="WHAT", help="Find the greatest `rate` or `concurrency` that meets --slo.")
    ] = None,
    price_per_hour: Annotated[
        str | None, typer.Option(metavar="'2.50 EUR'", help="Of the machine that answers, for cost per 1,000 answers.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    weights: Annotated[str, typer.Option(help="trained, or random: built from the config alone.")] = "trained",
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 7,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder; unless given, a new one in runs/")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent; stop.")] = False,
) -> None:
    """Load models and servers: latency, throughput, the rate that meets an SLO, A/B, cost."""
    from fourways.cli.load_options import LoadOptions, load_job

    fields = {name: value for name, value in context.params.items() if name != "dry_run"}
    job = load_job(LoadOptions(**fields, given=_given(context)), tuple(sys.argv))
    if dry_run:
        from fourways.compare.loading import foresee_load

        for line in foresee_load(job):
            results().print(line, soft_wrap=True, highlight=False)
        return
    if show_load(_run(job)):
        raise typer.Exit(1)


def _given(context: typer.Context) -> frozenset[str]:
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")


def _run(job: LoadJob) -> Outcome:
    from fourways.compare import show_on
    from fourways.compare.loading import start_load

    if any(candidate.model is not None for candidate in job.candidates):
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    show = show_on(notes())
    try:
        return start_load(job, show)
    finally:
        show.close()


def show_load(outcome: Outcome) -> bool:
    """The tables, what was lost, and where everything is. Says whether something was lost or the SLO was missed."""
    from fourways.cli.load_table import missed, objectives, tables, verdicts
    from fourways.core.run_files import read_header
    from fourways.report import slowed

    console = results()
    for table in tables(outcome.summary.figures):
        console.print(table)
    if busy := slowed(read_header(outcome.folder)):
        console.print(busy, soft_wrap=True, highlight=False)
    for line in (*objectives(outcome.summary.figures), *verdicts(outcome.summary.figures)):
        console.print(line, soft_wrap=True, highlight=False)
    for failure in outcome.failures:
        where = ": ".join(part for part in (failure.candidate, failure.where) if part)
        notes().print(f"{where}: {failure.message}", soft_wrap=True, highlight=False)
        if failure.hint:
            notes().print(f"hint: {failure.hint}", soft_wrap=True, highlight=False)
    console.print(f"run: {outcome.folder}\nreport: {outcome.report}", soft_wrap=True, highlight=False)
    return bool(outcome.failures) or missed(outcome.summary.figures)
