"""Answers to multiple choice: tables in VLMEvalKit's layout, TSV or XLSX with a `prediction` column, and lmms-eval's
samples and submissions. For MMBench, MMStar, RealWorldQA and any table of that kind."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fourways.benchmarks.answers.choice import CIRCLE, inside_options
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import Row, Value, as_text, read_records, whole_number
from fourways.benchmarks.predictions.replies import check_replies, image_of, lmms_details, lmms_reply, table_reply
from fourways.core.errors import BenchmarkFormatError

_L2 = ("l2-category", "l2_category")
_LETTERS = string.ascii_uppercase
_Options = Callable[[Mapping[str, Value], str], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a benchmark's table is read. circular: copies of a question share index modulo 1,000,000 (or `g_index`), and
    an index is a whole number. language: of the questions."""

    circular: bool
    language: Literal["en", "zh"] = "en"


def read_choice_table(path: Path, gold: Path | None, layout: Layout) -> Predictions:
    """In the file's order. gold: a table whose cells (answer, options, categories, …) by `index` go before the file's.

    Raises BenchmarkFormatError where neither tells the answers."""
    oddities = Oddities()
    truth = None if gold is None else _by_index(gold, layout, oddities)
    rows = [Row(row.where, {**lmms_details(row), **row.cells}) for row in read_records(path, oddities)]
    check_replies(path, rows)
    found = list(_answers(rows, truth, layout, oddities))
    if not found:
        raise BenchmarkFormatError(
            f"{path}: no row with an index", hint="Expected columns index, question, A, B, …, answer, prediction."
        )
    answers = [answer for answer in found if answer.sample.gold]
    if not answers:
        raise BenchmarkFormatError(
            f"{path}: no row has an answer to score against", hint="Give --gold with the table that has them."
        )
    if layout.circular and not any(answer.sample.options for answer in answers):
        raise BenchmarkFormatError(
            f"{path}: no row has the options A, B, …", hint="Give --gold with the table that has them."
        )
    if len(answers) < len(found):
        oddities.note("row without an answer to score against, left out", count=len(found) - len(answers))
    splits = sorted({answer.sample.extra.get("split", "") for answer in answers})
    if len(splits) > 1:
        over = "over all, and for each as VLMEvalKit has them" if layout.circular else "over all, VLMEvalKit's for each"
        oddities.note(f"rows of several splits ({', '.join(splits)}): figures are {over}")
    if layout.circular:
        answers = list(_with_base(answers, oddities))
    form = "lmms-eval samples" if any("filtered_resps" in row.cells for row in rows) else "VLMEvalKit table"
    return Predictions(form, tuple(answers), oddities)


def _by_index(gold: Path, layout: Layout, oddities: Oddities) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in read_records(gold, oddities):
        index = _index(row.cells.get("index"), layout)
        if index is None:
            oddities.note("row of the gold table without an index, left out", row.where)
        else:
            found[index] = row
    if not found:
        raise BenchmarkFormatError(f"{gold}: no row with an index", hint="Is this the benchmark's table?")
    return found


def _answers(
    rows: Sequence[Row], truth: Mapping[str, Row] | None, layout: Layout, oddities: Oddities
) -> Iterator[Answer]:
    seen: set[str] = set()
    tables = [*rows, *(truth or {}).values()]
    options = _columns if layout.circular or any("A" in row.cells for row in tables) else _listed
    for number, row in enumerate(rows):
        index = _place(row, number, layout, truth is not None)
        if index is None:
            oddities.note("row without a whole index, left out", row.where)
            continue
        if index in seen:
            oddities.note("index that stands more than once; each row counts", f"{row.where}: {index}")
        seen.add(index)
        if truth is not None and index not in truth:
            oddities.note("row that the gold table does not have, left out, as VLMEvalKit does", row.where)
            continue
        known = {} if truth is None else truth[index].cells
        sample = _sample(index, {**row.cells, **known}, layout, options)
        reply = lmms_reply(row, oddities) if "filtered_resps" in row.cells else table_reply(row, oddities)
        if sample.gold and layout.circular and sample.gold[0] not in sample.options:
            oddities.note("true answer that is none of the options' letters: no reply can be right", row.where)
        yield Answer(sample, reply)
    if truth is not None and (absent := set(truth) - seen):
        oddities.note(
            "row of the gold table without a prediction: VLMEvalKit scores the rows there are",
            f"index {min(absent)}",
            len(absent),
        )


def _place(row: Row, number: int, layout: Layout, matched: bool) -> str | None:
    """The row's index; that of lmms-eval's sample; or its place in the file, where neither a gold table nor
    rotations are matched by it."""
    if "index" in row.cells:
        return _index(row.cells["index"], layout)
    if "filtered_resps" in row.cells and "doc_id" in row.cells:
        return _index(row.cells["doc_id"], layout)
    return None if matched or layout.circular else str(number)


def _index(value: Value, layout: Layout) -> str | None:
    whole = whole_number(value)
    if whole is not None:
        return str(whole)
    return None if layout.circular or value is None else as_text(value)


def _sample(index: str, cells: Mapping[str, Value], layout: Layout, options: _Options) -> Sample:
    group = index
    if layout.circular:
        own = whole_number(cells.get("g_index"))
        group = str(int(index) % CIRCLE if own is None else own)
    question = as_text(cells.get("question", ""))
    answer = cells.get("answer", cells.get("target"))
    l2 = next((as_text(cells[name]) for name in _L2 if name in cells), None)
    extra = {"split": as_text(cells["split"])} if "split" in cells else {}
    return Sample(
        id=index,
        group=group,
        image_key=image_of(cells, f"question {group}"),
        image=bytes,
        question=question,
        gold=() if answer is None else (as_text(answer).strip(),),
        category=as_text(cells.get("category", "")),
        hint=as_text(cells.get("hint", "")),
        options=options(cells, question),
        language=layout.language,
        extra=extra if l2 is None else {**extra, "l2_category": l2},
    )


def _columns(cells: Mapping[str, Value], question: str) -> dict[str, str]:
    """The columns A, B, … that have text."""
    columns = {letter: as_text(cells[letter]) for letter in _LETTERS if letter in cells}
    return {letter: text for letter, text in columns.items() if text != "nan"}


def _listed(cells: Mapping[str, Value], question: str) -> dict[str, str]:
    """What the question lists, in a table without such columns; or letters alone, where the answer is one."""
    answer = as_text(cells.get("answer", cells.get("target", ""))).strip()
    found = inside_options(question)
    if answer in found or not (len(answer) == 1 and answer in _LETTERS):
        return found if answer in found else {}
    return dict.fromkeys(_LETTERS[:4], "")


def _with_base(answers: list[Answer], oddities: Oddities) -> Iterator[Answer]:
    """Without the rotations of a question whose first row is not there: VLMEvalKit never meets them."""
    based = {answer.sample.group for answer in answers if answer.sample.id == answer.sample.group}
    for answer in answers:
        if answer.sample.group in based:
            yield answer
        else:
            oddities.note(
                "rotation of a question whose first row is not there, left out, as the kits do", answer.sample.id
            )
