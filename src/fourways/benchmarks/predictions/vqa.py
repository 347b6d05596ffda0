"""Answers to VQAv2: the official results JSON, and lmms-eval's samples and submission, with the official annotations.

The official reader (`vqa.py`, `loadRes`) refuses a file with a question that the annotations do not have, and its
scorer stops at an annotated question without an answer unless it is told which to score."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import Row, Value, read_bytes, read_records
from fourways.benchmarks.predictions.replies import check_replies, lmms_details, plain_reply
from fourways.core.errors import BenchmarkFormatError

_T = TypeVar("_T")
_ASK = "Give --gold v2_mscoco_val2014_annotations.json (or the folder that holds it)."


class _Human(msgspec.Struct):
    answer: str


class _Annotation(msgspec.Struct):
    question_id: int
    answers: list[_Human]
    image_id: int | str = ""
    question_type: str = ""
    answer_type: str = ""


class _Annotations(msgspec.Struct):
    annotations: list[_Annotation]


class _Question(msgspec.Struct):
    question_id: int
    question: str


class _Questions(msgspec.Struct):
    questions: list[_Question]


def read_vqa(path: Path, gold: Path | None) -> Predictions:
    """In the order of the annotations, as the official program sums. Raises BenchmarkFormatError without annotations,
    and where no question is in both files."""
    oddities = Oddities()
    replies = _replies(path, oddities)
    annotations, questions = _gold(path, gold)
    answers: list[Answer] = []
    unanswered = 0
    for annotation in annotations:
        if annotation.question_id not in replies:
            unanswered += 1
            continue
        answers.append(Answer(_sample(annotation, questions), replies.pop(annotation.question_id)))
    if unanswered:
        oddities.note(
            "annotated question without an answer: the official program stops unless told which to score; "
            "figures are over the answered ones",
            count=unanswered,
        )
    for number in replies:
        oddities.note("answer to a question that is not annotated, left out: the official program refuses the file",
                      f"question {number}")  # fmt: skip
    if not answers:
        raise BenchmarkFormatError(
            f"{path}: none of its questions is in the annotations", hint="Are they of the same split and version?"
        )
    return Predictions("VQA results", tuple(answers), oddities)


def _replies(path: Path, oddities: Oddities) -> dict[int, str]:
    replies: dict[int, str] = {}
    rows = list(read_records(path, oddities))
    if rows:
        check_replies(path, rows, "answer")
    for row in rows:
        details = lmms_details(row)
        number = _number(row.cells.get("question_id", details.get("question_id")))
        if number is None:
            oddities.note("answer without a whole question_id, left out", row.where)
            continue
        if number in replies:
            oddities.note("question answered more than once: the last answer counts, as in the official program",
                          f"{row.where}: {number}")  # fmt: skip
        source = Row(row.where, details) if "filtered_resps" in row.cells and "answer" in details else row
        replies[number] = plain_reply(source, oddities, "answer", "filtered_resps")
    if not replies:
        raise BenchmarkFormatError(f"{path}: no answers", hint='Expected [{"question_id": 1, "answer": "yes"}, …].')
    return replies


def _number(value: Value) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 30:
        return int(value)
    return None


def _gold(path: Path, gold: Path | None) -> tuple[list[_Annotation], dict[int, str]]:
    if gold is None:
        raise BenchmarkFormatError(f"{path}: answers to VQAv2 need the annotations", hint=_ASK)
    if gold.is_dir():
        annotations, questions = (_one(gold, kind) for kind in ("annotations", "questions"))
    else:
        annotations, questions = gold, _beside(gold)
    if annotations is None:
        raise BenchmarkFormatError(f"{gold}: no file ends in annotations.json", hint=_ASK)
    found = _decode(annotations, _Annotations).annotations
    texts = {} if questions is None else {q.question_id: q.question for q in _decode(questions, _Questions).questions}
    return found, texts


def _one(folder: Path, kind: str) -> Path | None:
    files = sorted(folder.glob(f"*{kind}.json"))
    if len(files) > 1:
        raise BenchmarkFormatError(
            f"{folder}: {len(files)} files end in {kind}.json", hint="Name the annotations' file."
        )
    return files[0] if files else None


def _beside(annotations: Path) -> Path | None:
    """The questions' file of the official name, if it lies beside the annotations; it adds their words only."""
    name = annotations.name.replace("v2_mscoco_", "v2_OpenEnded_mscoco_").replace("annotations", "questions")
    return annotations.with_name(name) if name != annotations.name and annotations.with_name(name).is_file() else None


def _decode(file: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(read_bytes(file), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BenchmarkFormatError(
            f"{file}: not the official {kind.__name__.strip('_').lower()} ({error})", hint="Fetch the file again."
        ) from error


def _sample(annotation: _Annotation, questions: dict[int, str]) -> Sample:
    number = annotation.question_id
    return Sample(
        id=str(number),
        group=str(number),
        image_key=str(annotation.image_id) or str(number),
        image=bytes,
        question=questions.get(number, ""),
        gold=tuple(human.answer for human in annotation.answers),
        category=annotation.answer_type,
        extra={"question_type": annotation.question_type} if annotation.question_type else {},
    )
