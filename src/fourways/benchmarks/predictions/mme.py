"""Answers to MME: the official result folder, and the tables of VLMEvalKit and lmms-eval.

The official program (`calculation.py` of the MME evaluation tool) reads `<subtask>.txt` with lines `image`, `question`,
`gt`, `response`, tab between, and takes each two adjacent lines as one image, whatever its name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.mme import SUBTASKS
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import SUFFIXES, Row, as_text, decode, read_bytes, read_records
from fourways.benchmarks.predictions.replies import (
    IMAGE_SHA256,
    check_replies,
    image_of,
    lmms_details,
    lmms_reply,
    table_reply,
)
from fourways.core.errors import BenchmarkFormatError

_BY_LOWER = {task.lower(): task for task in SUBTASKS}
_LINE = re.compile(r"\r\n|\n|\r")
_ABSENT = "subtask without a file: the official program stops there; sums are over the others"


def read_mme(path: Path, gold: Path | None) -> Predictions:
    """Raises BenchmarkFormatError where nothing of MME is found. A gold file is not needed, nor read: the formats hold
    the answers themselves."""
    oddities = Oddities()
    if gold is not None:
        oddities.note("gold file that was not read: MME's result files hold the answers themselves", gold.name)
    if path.is_dir() or path.suffix.lower() == ".txt":
        answers = tuple(_folder(path, oddities))
        if not answers:
            first = min(_task_files(path, Oddities()).values())
            raise BenchmarkFormatError(
                f"{path}: no line has 4 fields separated by tabs; first: {first.name}, line 1",
                hint="A line of results is: image, question, Yes or No, response, with a tab between.",
            )
        if not any(answer.reply.strip() for answer in answers):
            raise BenchmarkFormatError(
                f"{path}: no line has a response", hint="Are these the questions? A line of results has four cells."
            )
        return Predictions("MME result folder", answers, oddities)
    if path.suffix.lower() in SUFFIXES:
        rows = list(read_records(path, oddities))
        check_replies(path, rows)
        form = "lmms-eval samples" if rows and "filtered_resps" in rows[0].cells else "VLMEvalKit table"
        return Predictions(form, tuple(_table(rows, oddities)), oddities)
    raise BenchmarkFormatError(
        f"{path}: no result folder and no table of MME",
        hint="Give the folder of <subtask>.txt files, VLMEvalKit's XLSX or TSV, or lmms-eval's samples JSONL.",
    )


# -- the official folder ----------------------------------------------------------------------------------------------


def _folder(path: Path, oddities: Oddities) -> Iterator[Answer]:
    files = _task_files(path, oddities)
    for task in SUBTASKS:
        if task in files:
            yield from _task(task, files[task], oddities)
        elif path.is_dir():
            oddities.note(_ABSENT, task)


def _task_files(path: Path, oddities: Oddities) -> dict[str, Path]:
    """Subtask → file, in the folder or in the only one below it that has any."""
    if path.is_file():
        if path.stem.lower() not in _BY_LOWER:
            raise BenchmarkFormatError(f"{path}: '{path.stem}' is no subtask of MME", hint=f"One of {_names()}.")
        return {_BY_LOWER[path.stem.lower()]: path}
    homes = [home for home in (path, *_folders(path)) if _known(home)]
    if not homes:
        raise BenchmarkFormatError(
            f"{path}: no result file of a subtask ({SUBTASKS[0]}.txt, {SUBTASKS[1]}.txt, …) here",
            hint="Give the folder that holds them; a line is: image, question, Yes or No, response.",
        )
    if homes[0] != path and len(homes) > 1:
        raise BenchmarkFormatError(
            f"{path}: {len(homes)} folders here hold results: {', '.join(home.name for home in homes[:5])}",
            hint="Name one of them.",
        )
    for file in sorted(homes[0].glob("*.txt")):
        if file.stem.lower() not in _BY_LOWER:
            oddities.note("text file that is no subtask's, left out", file.name)
    return _known(homes[0])


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir())


def _known(home: Path) -> dict[str, Path]:
    return {_BY_LOWER[f.stem.lower()]: f for f in sorted(home.glob("*.txt")) if f.stem.lower() in _BY_LOWER}


def _names() -> str:
    return ", ".join(SUBTASKS)


def _task(task: str, file: Path, oddities: Oddities) -> Iterator[Answer]:
    lines = list(_lines(file, oddities))
    if len(lines) % 2:
        oddities.note("subtask with an odd number of lines: the official program stops there", file.name)
    if not lines:
        oddities.note("subtask with an empty file", file.name)
    for place, (image, question, answer, reply) in enumerate(lines):
        first = lines[place - place % 2][0]
        if place % 2 and image != first:
            oddities.note(
                "two adjacent lines that name two images: taken as one image, as the official program does",
                f"{file.name}, pair {place // 2 + 1}: {first}, {image}",
            )
        group = f"{task}/{place // 2}"
        yield _answer(task, group, f"{group}/{place % 2}", f"{task}/{first}", question, answer, reply)


def _answer(task: str, group: str, identity: str, image: str, question: str, answer: str, reply: str) -> Answer:
    return Answer(Sample(identity, group, image, bytes, question, (answer,), category=task), reply)


def _lines(file: Path, oddities: Oddities) -> Iterator[tuple[str, str, str, str]]:
    """(image, question, yes or no, response). A line without its three tabs goes on with the response before it."""
    held: tuple[str, str, str, str] | None = None
    lines = _LINE.split(decode(file, read_bytes(file), oddities))
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        where = f"{file.name}, line {number}"
        found = _fields(line, where, oddities)
        if found is not None:
            if held is not None:
                yield held
            held = found
        elif not line.strip():
            oddities.note("blank line between answers: the official program stops there", where)
        elif held is None:
            oddities.note("line before the first answer that is none, left out", where)
        else:
            oddities.note(
                "line without its tabs, read as more of the response before: the official program stops", where
            )
            held = (*held[:3], f"{held[3]}\n{line}")
    if held is not None:
        yield held


def _fields(line: str, where: str, oddities: Oddities) -> tuple[str, str, str, str] | None:
    cells = line.split("\t")
    if len(cells) < 3 or cells[2].strip().lower() not in ("yes", "no"):
        return None
    if len(cells) == 3:
        oddities.note("line without a response, read as an empty one", where)
    if len(cells) > 4:
        oddities.note("response that holds tabs: the official program stops there", where)
    if cells[2] != cells[2].strip():
        oddities.note("answer with space around it", where)
    reply = "\t".join(cells[3:])
    if not reply.strip():
        oddities.note("empty response", where)
    return cells[0], cells[1], cells[2].strip().lower(), reply


# -- tables -----------------------------------------------------------------------------------------------------------


def _table(rows: list[Row], oddities: Oddities) -> Iterator[Answer]:
    places: dict[str, int] = defaultdict(int)
    adjacent: dict[str, int] = defaultdict(int)
    for row in rows:
        cells = {**lmms_details(row), **row.cells}
        task = as_text(cells.get("category", "")).strip()
        answer = as_text(cells.get("answer", cells.get("target", ""))).strip().lower().rstrip(".")
        if not task or answer not in ("yes", "no"):
            oddities.note("row without category, or whose answer is neither Yes nor No, left out", row.where)
            continue
        task = _BY_LOWER.get(task.lower(), task)
        name = next((as_text(cells[key]) for key in ("image_path", "question_id") if key in cells), None)
        if name is None:
            name = str(adjacent[task] // 2)
            oddities.note("row that does not name its image, paired with the one beside it", row.where)
        adjacent[task] += 1
        name = re.sub(r"\.(jpg|jpeg|png)$", "", name)
        group = name if name.startswith(f"{task}/") else f"{task}/{name}"
        place = places[group]
        places[group] += 1
        reply = lmms_reply(row, oddities) if "filtered_resps" in row.cells else table_reply(row, oddities)
        question = as_text(cells.get("question", cells.get("input", "")))
        image = image_of({k: v for k, v in cells.items() if k == IMAGE_SHA256}, group)
        yield _answer(task, group, f"{group}/{place}", image, question, answer, reply)
    for group, count in places.items():
        if count != 2:
            oddities.note(
                "image whose questions are not two: lmms-eval stops there, VLMEvalKit takes the first two", group
            )
    present = {group.partition("/")[0] for group in places}
    for task in SUBTASKS:
        if task not in present:
            oddities.note("subtask without a row; sums are over the others", task)
