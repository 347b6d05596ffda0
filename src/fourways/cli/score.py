"""`fourways score`: answers that somebody else produced, scored by the official rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.core.errors import UserError

if TYPE_CHECKING:
    from fourways.benchmarks.predictions import Rule
    from fourways.core.boxes import BoxFormat

EXAMPLES = """
Examples:

fourways score mme results/Qwen2.5-VL-7B/

fourways score vqav2 answers.json --gold v2_mscoco_val2014_annotations.json

fourways score mmbench_en Qwen2.5-VL-7B_MMBench_DEV_EN.xlsx --gold MMBench_DEV_EN.tsv

fourways score refcoco refcoco_val.jsonl --boxes qwen2.5-vl

fourways score mme runs/2026-11-22T10-04-05Z-qwen --rule vlmevalkit --json

Every format and rule: docs/score.md. Exit codes: 0 scored; 2 the file cannot be what it should be.
"""
_GOLD = "The true answers, where the file does not hold them."
_RULE = "Whose rule: official, vlmevalkit, lmms-eval, …; unless given, the benchmark's own."
_BOXES = "How boxes are written: a dialect (qwen-vl, qwen2.5-vl, internvl, llava, …) or SPACE:SYNTAX."


def score(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="mme, mmbench_en, vqav2, refcoco, …")],
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="Result folder, file, or a run's folder.")],
    gold: Annotated[Path | None, typer.Option(metavar="FILE", help=_GOLD)] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help=_RULE)] = None,
    boxes: Annotated[str | None, typer.Option(metavar="FORMAT", help=_BOXES)] = None,
    candidate: Annotated[str | None, typer.Option(metavar="NAME", help="Which candidate of a run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, in full precision, as JSON.")] = False,
) -> None:
    """Score answers from a file by the official rules, or by a kit's."""
    import msgspec

    from fourways.cli import scorecard
    from fourways.cli.terminal import results

    made = scorecard.make(*_asked(benchmark, rule, boxes), predictions, gold, candidate)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(made), indent=2).decode())
        return
    scorecard.show(made, results())


def _asked(benchmark: str, rule: str | None, boxes: str | None) -> tuple[str, Rule, BoxFormat | None]:
    """Raises UserError for a benchmark, rule or format that is not known, before any file is opened."""
    from fourways.benchmarks.predictions import box_format, box_rule, find_rule

    key = benchmark if ":" in benchmark else benchmark.lower().replace("-", "_")
    if key != "refcoco":
        if boxes is not None:
            raise UserError(f"--boxes says how boxes are written; {key} has none", hint="leave it out")
        return key, find_rule(key, rule), None
    written = None if boxes is None else box_format(boxes)
    return key, box_rule(rule, boxes or ""), written
