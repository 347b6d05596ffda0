"""Answers to POPE: the official JSON lines beside the official labels, LLaVA's and InternVL's beside their question
file, and the tables of the kits.

The official program (`evaluate.py`) takes the answers in the order of one category's labels; LLaVA's and InternVL's
(`eval_pope.py`) first choose a category's answers by `question_id`, by the file that was asked from. Here answers whose
ids are those of the labels are laid beside them by id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.pope import CATEGORIES
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import SUFFIXES, Row, as_text, read_records, whole_number
from fourways.benchmarks.predictions.replies import (
    REPLY_COLUMNS,
    check_replies,
    image_of,
    lmms_details,
    lmms_reply,
    plain_reply,
    table_reply,
    with_gold,
)
from fourways.core.errors import BenchmarkFormatError

_REPLIES = ("text", "answer", "filtered_resps")
_ASK = "Give --gold with coco_pope_random.json, …, or the folder of the three."
_SAID = ("prompt", "answer", "filtered_resps", "resps", *(name for name in REPLY_COLUMNS if name != "text"))
"""What only a line of answers has; the `text` of labels and of questions is the question."""


def read_yes_no(path: Path, gold: Path | None) -> Predictions:
    """Raises BenchmarkFormatError where the answers cannot be laid beside their labels."""
    oddities = Oddities()
    rows = _answered(path, oddities)
    for file, held in rows.items():
        if gold is None:
            _check_told(file, held)
        check_replies(file, held, *(() if gold is None else _REPLIES))
    if gold is None:
        answers = [answer for file, held in rows.items() for answer in _table(file, held, oddities)]
        if not answers:
            raise BenchmarkFormatError(f"{path}: no row with an answer of yes or no to score against", hint=_ASK)
        return Predictions("kit's table", tuple(answers), oddities)
    labels, asked = _gold(gold, oddities)
    answers = []
    for file, held in rows.items():
        for category, replies in _by_category(file, held, labels, asked).items():
            answers += _paired(category, replies, labels[category], oddities)
    for category in labels:
        if not any(answer.sample.category == category for answer in answers):
            oddities.note("category of the labels without answers", category)
    if not answers:
        raise BenchmarkFormatError(f"{path}: no answers to these labels", hint=_ASK)
    return Predictions("POPE answers", tuple(answers), oddities)


def read_yes_no_table(path: Path, gold: Path | None) -> Predictions:
    """Of a table of one's own. gold: see `with_gold`. Raises BenchmarkFormatError where no row can be scored."""
    oddities = Oddities()
    rows = list(read_records(path, oddities))
    check_replies(path, rows)
    answers = tuple(_table(path, with_gold(rows, gold, oddities), oddities))
    if not answers:
        raise BenchmarkFormatError(
            f"{path}: no row with an answer of yes or no to score against",
            hint="Expected question, answer, prediction; or --gold with a table of index and answer.",
        )
    return Predictions("table of yes or no", answers, oddities)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(file for file in path.glob("*") if file.suffix.lower() in SUFFIXES)
    if not found:
        raise BenchmarkFormatError(
            f"{path}: no file of answers here", hint="Give JSON lines with question_id and text."
        )
    return found


def _answered(path: Path, oddities: Oddities) -> dict[Path, list[Row]]:
    """The rows of each file of answers. Labels and questions that lie beside them are none."""
    rows = {file: list(read_records(file, oddities)) for file in _files(path)}
    found = {file: held for file, held in rows.items() if not (_are_labels(held) or _are_questions(held))}
    if not found:
        raise BenchmarkFormatError(
            f"{path}: labels or questions of POPE, and no answers", hint="Name the answers; these are for --gold."
        )
    return found


def _check_told(file: Path, rows: list[Row]) -> None:
    """Raises BenchmarkFormatError for the official answers, whose `answer` is the reply."""
    told = any(name in row.cells for row in rows for name in (*REPLY_COLUMNS, "filtered_resps", "resps", "index"))
    if not told and any("answer" in row.cells for row in rows):
        raise BenchmarkFormatError(
            f"{file}: the gold answers are missing; `answer` is the reply here",
            hint=_ASK,
        )


def _are_labels(rows: list[Row]) -> bool:
    """Whether these are lines of question_id, image, text and label."""
    return bool(rows) and all("label" in row.cells and not any(name in row.cells for name in _SAID) for row in rows)


def _are_questions(rows: list[Row]) -> bool:
    """Whether these are lines of question_id, image, text and category, as LLaVA asks them."""
    return bool(rows) and all(
        "category" in row.cells
        and "label" not in row.cells
        and "?" in (row.text("text") or "")
        and not any(name in row.cells for name in _SAID)
        for row in rows
    )


def _gold(gold: Path, oddities: Oddities) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Category → its labels in their order; and question_id → category, by a question file that lies in the folder."""
    labels: dict[str, list[Row]] = {}
    asked: dict[str, str] = {}
    for file in _files(gold):
        rows = list(read_records(file, oddities))
        if _are_questions(rows):
            asked.update({as_text(row.cells.get("question_id")): as_text(row.cells["category"]) for row in rows})
        elif _are_labels(rows):
            labels.setdefault(_category(file.stem) or file.stem, []).extend(rows)
    if not labels:
        raise BenchmarkFormatError(f"{gold}: no file with a label on every line", hint=_ASK)
    return labels, asked


def _category(stem: str) -> str | None:
    return next((category for category in CATEGORIES if category in stem.lower()), None)


def _by_category(
    file: Path, rows: list[Row], labels: Mapping[str, list[Row]], asked: Mapping[str, str]
) -> dict[str, list[Row]]:
    """The answers of each category, in their order."""
    named = [row.text("category") or asked.get(row.text("question_id") or "") for row in rows]
    if any(named):
        found: dict[str, list[Row]] = {category: [] for category in labels}
        for row, category in zip(rows, named, strict=True):
            if category in found:
                found[category].append(row)
        return found
    own = _category(file.stem)
    if own in labels and own is not None:
        return {own: rows}
    if len(labels) == 1:
        return {next(iter(labels)): rows}
    raise BenchmarkFormatError(
        f"{file}: nothing tells which of {', '.join(labels)} an answer belongs to",
        hint="Put the question file (question_id, category) beside the labels, or give one category's labels.",
    )


def _paired(category: str, replies: list[Row], labels: list[Row], oddities: Oddities) -> Iterator[Answer]:
    if len(replies) != len(labels):
        raise BenchmarkFormatError(
            f"{category}: {len(replies)} answers where there are {len(labels)} labels",
            hint="Answers are laid beside labels one by one, so none may be missing.",
        )
    for number, (row, label) in enumerate(zip(_laid(replies, labels, oddities), labels, strict=True)):
        truth = as_text(label.cells["label"]).strip()
        question = label.text("text", "question") or ""
        if _contradict(row, label):
            oddities.note("answer to another question than the label's", row.where)
        if truth not in ("yes", "no"):
            oddities.note("label that is neither yes nor no; the official program takes it for yes", label.where)
        sample = Sample(
            id=f"{category}/{number}",
            group=f"{category}/{number}",
            image_key=label.text("image") or f"{category}/{number // 6}",
            image=bytes,
            question=question,
            gold=("no" if truth == "no" else "yes",),
            category=category,
        )
        yield Answer(sample, plain_reply(row, oddities, *_REPLIES))


def _laid(replies: list[Row], labels: list[Row], oddities: Oddities) -> list[Row]:
    """The replies in the labels' order: by question_id where the labels have the same ids, unless the questions that
    the answers name fit better by place; else by place, as the official program has it."""
    meant, said = [_id(row) for row in labels], [_id(row) for row in replies]
    by_id = dict(zip(said, replies, strict=True))
    if said != meant and len(by_id) == len(replies) and set(said) == set(meant):
        found = [by_id[name] for name in meant]
        if _contradictions(found, labels) <= _contradictions(replies, labels):
            moved = [row for row, name, other in zip(replies, said, meant, strict=True) if name != other]
            oddities.note(
                "answer in another place than its label, found by question_id; the official program goes by place",
                moved[0].where,
                len(moved),
            )
            return found
    for row, name, other in zip(replies, said, meant, strict=True):
        if "" not in (name, other) and name != other and row.text("question", "prompt") is None:
            oddities.note("question_id that is not that of the label in its place, by which it is scored", row.where)
    return replies


def _id(row: Row) -> str:
    value = row.cells.get("question_id", "")
    whole = whole_number(value)
    return as_text(value) if whole is None else str(whole)


def _contradictions(replies: list[Row], labels: list[Row]) -> int:
    return sum(_contradict(row, label) for row, label in zip(replies, labels, strict=True))


def _contradict(row: Row, label: Row) -> bool:
    """Whether the answer says that it is to another question, or about another image."""
    said, question = row.text("question", "prompt"), label.text("text", "question")
    images = [one.text("image") for one in (row, label)]
    other_image = None not in images and images[0] != images[1]
    return other_image or (said is not None and question is not None and question not in said)


# -- tables -----------------------------------------------------------------------------------------------------------


def _table(file: Path, rows: list[Row], oddities: Oddities) -> Iterator[Answer]:
    """VLMEvalKit's: index, question, answer, category, prediction. lmms-eval's samples: target and filtered_resps."""
    for number, row in enumerate(rows):
        logged = "filtered_resps" in row.cells
        cells = {**lmms_details(row), **row.cells}
        truth = as_text(cells.get("target" if logged else "answer", "")).strip().lower()
        if truth not in ("yes", "no"):
            oddities.note("row whose answer is neither yes nor no, left out", row.where)
            continue
        name = as_text(cells.get("index", cells.get("doc_id", number)))
        category = as_text(cells.get("category", _category(file.stem) or ""))
        sample = Sample(
            id=f"{file.stem}/{name}",
            group=f"{file.stem}/{name}",
            image_key=image_of(cells, f"question {name}"),
            image=bytes,
            question=as_text(cells.get("question", cells.get("input", ""))),
            gold=(truth,),
            category=category,
        )
        yield Answer(sample, lmms_reply(row, oddities) if logged else table_reply(row, oddities))
