"""Answers to a table of one's own: `choice:`, `yes_no:` and `open:` tables with a `prediction` column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.predictions.choice import Layout, read_choice_table
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import Row, Value, as_text, read_records
from fourways.benchmarks.predictions.replies import (
    check_replies,
    image_of,
    lmms_details,
    lmms_reply,
    table_reply,
    with_gold,
)
from fourways.benchmarks.predictions.yes_no import read_yes_no_table
from fourways.core.errors import BenchmarkFormatError

_SEPARATOR = "|"


def read_own(kind: str, path: Path, gold: Path | None) -> Predictions:
    """kind: choice, yes_no or open. Raises BenchmarkFormatError where no row can be scored."""
    if kind == "yes_no":
        return read_yes_no_table(path, gold)
    if kind == "choice":
        found = read_choice_table(path, gold, Layout(circular=False))
        return replace(found, answers=tuple(_by_letter(answer) for answer in found.answers))
    return _read_open(path, gold)


def _by_letter(answer: Answer) -> Answer:
    """The true answer may be the option's text."""
    sample = answer.sample
    same = [letter for letter, text in sample.options.items() if text.strip() == sample.gold[0]]
    if sample.gold[0] in sample.options or len(same) != 1:
        return answer
    return replace(answer, sample=replace(sample, gold=(same[0],)))


def _read_open(path: Path, gold: Path | None) -> Predictions:
    oddities = Oddities()
    rows = list(read_records(path, oddities))
    check_replies(path, rows)
    answers = tuple(_open_answers(with_gold(rows, gold, oddities), oddities))
    if not answers:
        raise BenchmarkFormatError(
            f"{path}: no row with an answer to score against", hint="Expected question, answer, prediction; or --gold."
        )
    return Predictions("table of open answers", answers, oddities)


def _open_answers(rows: list[Row], oddities: Oddities) -> Iterator[Answer]:
    for number, row in enumerate(rows):
        logged = "filtered_resps" in row.cells
        cells = {**lmms_details(row), **row.cells}
        index = as_text(cells.get("index", number))
        accepted = _accepted(cells.get("answers", cells.get("answer", cells.get("target"))), "answers" in cells)
        if not accepted:
            oddities.note("row without an answer to score against, left out", row.where)
            continue
        sample = Sample(
            id=index,
            group=index,
            image_key=image_of(cells, f"question {index}"),
            image=bytes,
            question=as_text(cells.get("question", "")),
            gold=accepted,
            category=as_text(cells.get("category", "")),
        )
        yield Answer(sample, lmms_reply(row, oddities) if logged else table_reply(row, oddities))


def _accepted(value: Value, several: bool) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(as_text(one) for one in value)
    text = as_text(value)
    if text.startswith("[") and text.endswith("]"):
        try:
            return tuple(as_text(one) for one in json.loads(text))
        except (ValueError, RecursionError):
            return (text,)
    return tuple(text.split(_SEPARATOR)) if several else (text,)
