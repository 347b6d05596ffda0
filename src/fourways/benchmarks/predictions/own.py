"""Answers to a table of one's own: `choice:`, `yes_no:` and `open:` tables with a `prediction` column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.own import with_rotations
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import Row, Value, as_text, index_of, read_records
from fourways.benchmarks.predictions.replies import (
    check_replies,
    image_of,
    lmms_details,
    lmms_reply,
    table_reply,
    with_gold,
)
from fourways.benchmarks.predictions.yes_no import read_yes_no_table
from fourways.benchmarks.reading.own_cells import options_of, right_letter
from fourways.benchmarks.reading.records import Record
from fourways.core.errors import BenchmarkFormatError

_SEPARATOR = "|"


def read_own(kind: str, path: Path, gold: Path | None) -> Predictions:
    """kind: choice, yes_no or open. Raises BenchmarkFormatError where no row can be scored."""
    if kind == "yes_no":
        return read_yes_no_table(path, gold)
    return _read_choice(path, gold) if kind == "choice" else _read_open(path, gold)


def _read_choice(path: Path, gold: Path | None) -> Predictions:
    oddities = Oddities()
    rows = list(read_records(path, oddities))
    check_replies(path, rows)
    samples: list[Sample] = []
    replies: list[str] = []
    for number, row in enumerate(with_gold(rows, gold, oddities)):
        try:
            samples.append(_choice(number, row))
        except BenchmarkFormatError as error:
            oddities.note("row without options, or without one of them that is right, left out", str(error))
            continue
        replies.append(lmms_reply(row, oddities) if "filtered_resps" in row.cells else table_reply(row, oddities))
    if not samples:
        raise BenchmarkFormatError(
            f"{path}: no row has options and an answer to score against",
            hint="Expected question, A, B, … (or options), answer (or answer_index), prediction; or --gold.",
        )
    # The rotations of a question are about one image, whether or not a row names it.
    grouped = [
        one if one.image_key else replace(one, image_key=f"question {one.group}") for one in with_rotations(samples)
    ]
    answers = tuple(Answer(sample, reply) for sample, reply in zip(grouped, replies, strict=True))
    return Predictions("table of multiple choice", answers, oddities)


def _choice(number: int, row: Row) -> Sample:
    """By the rules under which such a table is read before it is asked."""
    cells = {**lmms_details(row), **row.cells}
    if "answer" not in cells and "target" in cells:
        cells["answer"] = cells["target"]
    nested = {name: value for name, value in cells.items() if isinstance(value, (list, dict))}
    texts = {name: as_text(value) for name, value in cells.items() if name not in nested}
    record = Record(row.where, texts, "", bytes, nested)
    options = options_of(record)
    index = index_of(cells, number)
    return Sample(
        id=index,
        group=texts.get("group", index),
        image_key=image_of(cells, ""),
        image=bytes,
        question=texts.get("question", ""),
        gold=(right_letter(record, options),),
        category=texts.get("category", ""),
        hint=texts.get("hint", ""),
        options=options,
    )


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
        index = index_of(cells, number)
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
