"""A run's answers in the files of others, so that they can score them again or take a submission.

vlmevalkit: `MODEL_DATASET.xlsx` (TSV where a reply is longer than a cell can be). lmms-eval: `samples_TASK.jsonl`.
mmbench-submission: the XLSX that MMBench's server takes. vqav2-submission: the results JSON of VQA's."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fourways.benchmarks.predictions.columns import kit_columns, kit_row, submission_row
from fourways.benchmarks.predictions.found import Oddities
from fourways.benchmarks.predictions.records import MISSING
from fourways.benchmarks.predictions.samples import sample_line, task_of
from fourways.benchmarks.predictions.workbook import LONGEST, Cell, workbook
from fourways.core.boxes import BoxFormat
from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow

_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")
_SUBMITTED = ("index", "question", "A", "B", "C", "D", "prediction")
_MMBENCH = ("mmbench_en", "mmbench_cn")


@dataclass(frozen=True, slots=True)
class Export:
    """One file to be written. name: of the file. rows: how many answers it holds."""

    name: str
    content: bytes
    rows: int
    oddities: Oddities


Maker = Callable[[str, str, str, Sequence[AnswerRow], BoxFormat | None], Export]
"""(candidate, benchmark's key, its edition, rows in their order, how boxes are written) → the file."""


def _vlmevalkit(candidate: str, key: str, edition: str, rows: Sequence[AnswerRow], boxes: BoxFormat | None) -> Export:
    oddities = Oddities()
    columns = kit_columns(key, rows, boxes)
    cells = [kit_row(key, row, boxes) for row in rows]
    _tell_failed(rows, oddities)
    missing = sum(row.reply in MISSING for row in rows)
    if missing:
        oddities.note(
            "reply that pandas reads as missing (empty, None, NA, …), so that the kit sees nan", count=missing
        )
    stem = f"{_plain(candidate)}_{_dataset(key, edition)}"
    if any(len(value) > LONGEST for row in cells for value in row.values() if isinstance(value, str)):
        oddities.note("text longer than a cell of XLSX holds: the table is TSV, which VLMEvalKit takes as well")
        return Export(f"{stem}.tsv", _tsv(columns, cells), len(rows), oddities)
    return Export(f"{stem}.xlsx", workbook(columns, cells, oddities), len(rows), oddities)


def _lmms_eval(candidate: str, key: str, edition: str, rows: Sequence[AnswerRow], boxes: BoxFormat | None) -> Export:
    lines = [json.dumps(sample_line(key, number, row, boxes), ensure_ascii=False) for number, row in enumerate(rows)]
    name = f"{_plain(candidate)}_samples_{task_of(key, edition)}.jsonl"
    oddities = Oddities()
    _tell_failed(rows, oddities)
    return Export(name, _encoded("".join(f"{line}\n" for line in lines)), len(rows), oddities)


def _tell_failed(rows: Sequence[AnswerRow], oddities: Oddities) -> None:
    failed = sum(row.status == "failed" for row in rows)
    if failed:
        oddities.note("request that failed, written as an empty reply, which a kit may read as an answer", count=failed)


def _mmbench(candidate: str, key: str, edition: str, rows: Sequence[AnswerRow], boxes: BoxFormat | None) -> Export:
    oddities = Oddities()
    _tell_failed(rows, oddities)
    cells = [submission_row(row) for row in rows]
    longest = max((len(row.reply) for row in rows), default=0)
    if longest > LONGEST:
        raise UserError(
            f"{candidate}: a reply of {longest:,} characters does not fit into a cell of XLSX ({LONGEST:,})",
            hint="ask again with a smaller limit of tokens",
        )
    name = f"{_plain(candidate)}_{_dataset(key, edition)}_submission.xlsx"
    return Export(name, workbook(_SUBMITTED, cells, oddities), len(rows), oddities)


def _vqav2(candidate: str, key: str, edition: str, rows: Sequence[AnswerRow], boxes: BoxFormat | None) -> Export:
    oddities = Oddities()
    _tell_failed(rows, oddities)
    strange = [row.sample for row in rows if not row.sample.isdecimal()]
    if strange:
        raise UserError(
            f"{candidate}: question '{strange[0][:40]}' has no whole number for an id",
            hint="Is this the official data?",
        )
    results = [{"question_id": int(row.sample), "answer": row.reply} for row in rows]
    name = f"{_plain(candidate)}_vqav2_{_plain(edition) or 'results'}.json"
    return Export(name, _encoded(json.dumps(results, ensure_ascii=False)), len(rows), oddities)


FORMATS: dict[str, Maker] = {
    "vlmevalkit": _vlmevalkit,
    "lmms-eval": _lmms_eval,
    "mmbench-submission": _mmbench,
    "vqav2-submission": _vqav2,
}
"""What --to takes → what makes it."""


def export(
    form: str, candidate: str, key: str, edition: str, rows: Sequence[AnswerRow], boxes: BoxFormat | None
) -> Export:
    """One candidate's answers to one benchmark as a file of that form. rows are taken in the order of their samples.
    boxes: how the candidate writes them.

    Raises UserError for a form that is not known, or where the answers cannot be written in it."""
    if form not in FORMATS:
        raise UserError(f"--to {form!r} is not known", hint=f"one of {', '.join(FORMATS)}")
    ordered = sorted(rows, key=lambda row: _natural(row.sample))
    return FORMATS[form](candidate, key, edition, ordered, boxes)


def takes(form: str, key: str) -> bool:
    """Whether that form is for that benchmark. VLMEvalKit has no VQAv2."""
    if form == "mmbench-submission":
        return key in _MMBENCH
    return (form == "vqav2-submission") == (key == "vqav2") or (form == "lmms-eval" and key == "vqav2")


def _natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Digits as numbers, so that 10 follows 9."""
    parts = re.split(r"(\d{1,18})", text)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def _dataset(key: str, edition: str) -> str:
    """VLMEvalKit's name of the data set."""
    split = "TEST" if "test" in edition else "DEV"
    newer = "_V11" if "1.1" in edition else ""
    names = {
        "mme": "MME",
        "mmbench_en": f"MMBench_{split}_EN{newer}",
        "mmbench_cn": f"MMBench_{split}_CN{newer}",
        "refcoco": "RefCOCO",
        "realworldqa": "RealWorldQA",
        "pope": "POPE",
        "mmstar": "MMStar",
        "vqav2": "VQAv2",
    }
    return names.get(key) or _plain(key)


def _plain(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name).strip("-.")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _tsv(columns: Sequence[str], rows: Sequence[dict[str, Cell]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(name) is None else row[name] for name in columns])
    return _encoded(stream.getvalue())
