"""What `fourways score` says, as a record and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console

import fourways
from fourways.benchmarks.pope import OTHER
from fourways.benchmarks.predictions import Predictions, Printed, Rule, answer_rows, read_predictions
from fourways.core.boxes import BoxFormat
from fourways.core.digests import hash_data
from fourways.core.errors import UserError
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.figures.scored import scored

SCORE_SCHEMA = "fourways.score/v1"


class Source(msgspec.Struct, frozen=True):
    """A file or folder that was read. name: its own, without the folders above it."""

    name: str
    sha256: str


class ScoreFigure(msgspec.Struct, frozen=True):
    """One figure. value, low, high: full precision, in `unit`. printed: the value in the official program's own order
    of additions, with its rounding and in its unit (VQA: percent with two decimals). n images carry the interval. value
    is None exactly where a ratio has no denominator, and `reason` says so."""

    metric: str
    labels: dict[str, str]
    value: float | None
    printed: float
    printed_unit: str
    low: float | None
    high: float | None
    unit: str
    n: int
    n_unit: str
    definition: str
    primary: bool
    status: str
    reason: str | None


class OddityRecord(msgspec.Struct, frozen=True):
    """Something odd in the files. examples: where, at most three."""

    what: str
    count: int
    examples: tuple[str, ...]


class Score(msgspec.Struct, frozen=True):
    """What `fourways score --json` prints. unparsed: answers that the rule could not read, counted as wrong.
    boxes: the declared format. definitions: id → formula."""

    schema: str
    fourways: str
    benchmark: str
    title: str
    rule: str
    rule_source: str
    parser_version: int
    scorer_version: int
    form: str
    predictions: Source
    gold: Source | None
    boxes: BoxFormat | None
    answers: int
    images: int
    unparsed: int
    failed: int
    figures: tuple[ScoreFigure, ...]
    definitions: dict[str, str]
    oddities: tuple[OddityRecord, ...]


def make(
    key: str, rule: Rule, boxes: BoxFormat | None, predictions: Path, gold: Path | None, candidate: str | None
) -> Score:
    """Reads, scores, and says everything. Raises UserError where nothing can be scored."""
    found = read_predictions(key, predictions, gold, boxes, candidate)
    rows = answer_rows(rule.benchmark, found.answers, predictions.stem, boxes or found.boxes)
    metrics = rule.benchmark.metrics(rows)
    if not metrics:
        raise UserError(f"{predictions}: no answer in it can be scored", hint="the true answers are not there: --gold")
    figures = scored(metrics, predictions.stem, {})
    definitions = rule.benchmark.definitions
    return Score(
        schema=SCORE_SCHEMA,
        fourways=fourways.__version__,
        benchmark=key,
        title=rule.benchmark.title,
        rule=rule.name,
        rule_source=rule.source,
        parser_version=rule.benchmark.parser_version,
        scorer_version=rule.benchmark.scorer_version,
        form=found.form,
        predictions=_source(predictions),
        gold=None if gold is None else _source(gold),
        boxes=boxes or found.boxes,
        answers=len(rows),
        images=len({row.image for row in rows}),
        unparsed=_count(rows, "unparsed"),
        failed=_count(rows, "failed"),
        figures=tuple(_line(made, rule.printed(metric)) for made, metric in zip(figures, metrics, strict=True)),
        definitions={made.definition: definitions.get(made.definition, "") for made in figures},
        oddities=_oddities(found, rows),
    )


def _source(path: Path) -> Source:
    return Source(path.resolve().name, hash_data(path))


def _count(rows: list[AnswerRow], status: str) -> int:
    return sum(row.status == status for row in rows)


def _oddities(found: Predictions, rows: list[AnswerRow]) -> tuple[OddityRecord, ...]:
    told = [OddityRecord(one.what, one.count, one.examples) for one in found.oddities.listed()]
    neither = [row for row in rows if row.benchmark == "pope" and row.parsed == OTHER]
    if neither:
        examples = tuple(row.reply[:60] for row in neither[:3])
        told.append(
            OddityRecord("reply with neither yes nor no: POPE's program takes it for yes", len(neither), examples)
        )
    return tuple(told)


def _line(made: Figure, printed: Printed) -> ScoreFigure:
    return ScoreFigure(
        metric=made.metric,
        labels=made.labels,
        value=made.value,
        printed=printed.value,
        printed_unit=printed.unit,
        low=made.low,
        high=made.high,
        unit=made.unit,
        n=made.n,
        n_unit=made.n_unit,
        definition=made.definition,
        primary=made.headline,
        status=made.status,
        reason=made.reason,
    )


# -- the table --------------------------------------------------------------------------------------------------------


def show(score: Score, console: Console) -> None:
    """Every figure with its interval and number of images, then what could not be read and what was odd."""
    console.print(
        f"{score.title}: {score.answers:,} answers about {score.images:,} images, from {score.form}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"rule: {score.rule} ({score.rule_source}); parser {score.parser_version}, scorer {score.scorer_version}",
        highlight=False,
        soft_wrap=True,
    )
    for text, style in _lines(score):
        console.print(text, style=style, highlight=False, soft_wrap=True)
    console.print(f"definitions: {', '.join(score.definitions)}", highlight=False, soft_wrap=True)
    share = 100 * score.unparsed / score.answers if score.answers else 0.0
    console.print(f"unparsed: {score.unparsed:,} of {score.answers:,} answers ({share:.2f} %), counted as wrong")
    if score.failed:
        console.print(f"failed: {score.failed:,} of {score.answers:,} requests, counted as wrong")
    if score.oddities:
        console.print("odd in the files:")
    for one in score.oddities:
        places = f" ({'; '.join(one.examples)})" if one.examples else ""
        console.print(f"  {one.count:,} × {one.what}{places}", highlight=False, soft_wrap=True)


def _lines(score: Score) -> Iterator[tuple[str, str | None]]:
    """A line a figure, the primary one bold. Numbers are never cut: a narrow terminal wraps."""
    cells = [("figure", "of", "value", "95 % interval", "images")]
    cells += [(one.metric, _of(one), _value(one), _interval(one), f"{one.n:,}") for one in score.figures]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    styles = ["dim", *("bold" if one.primary else None for one in score.figures)]
    for row, style in zip(cells, styles, strict=True):
        left = [text.ljust(width) for text, width in zip(row[:2], widths[:2], strict=True)]
        right = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*left, *right]), style


def _of(one: ScoreFigure) -> str:
    named = (text if name == "category" else f"{name} {text}" for name, text in one.labels.items())
    return ", ".join(named) or "all"


def _value(one: ScoreFigure) -> str:
    """With two decimals, percent for fractions; beside points how many there could be."""
    if one.unit == "fraction":
        return f"{one.printed if one.printed_unit == 'percent' else 100 * one.printed:.2f} %"
    return f"{one.printed:.2f} {one.unit.removeprefix('points ')}"


def _interval(one: ScoreFigure) -> str:
    if one.low is None or one.high is None:
        return one.reason or ""
    scale = 100 if one.unit == "fraction" else 1
    few = " (too few)" if one.status == "too_few" else ""
    return f"{scale * one.low:.2f} – {scale * one.high:.2f}{few}"
