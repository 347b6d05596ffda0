"""Answers from the rows of a Fourways run, to be scored again under another rule."""

from __future__ import annotations

from pathlib import Path

from fourways.benchmarks.answered import sample_of
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.core.boxes import BoxFormat
from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow
from fourways.core.run_files import ROWS_FILE, RUN_FILE, read_header, read_rows, read_rows_header


def is_run(path: Path) -> bool:
    """Whether it is a run's folder, or its rows.jsonl."""
    return (path.is_dir() and (path / ROWS_FILE).is_file() and (path / RUN_FILE).is_file()) or path.name == ROWS_FILE


def read_run(key: str, path: Path, candidate: str | None = None) -> Predictions:
    """One candidate's answers to one benchmark. Raises UserError where the run has several and none is named."""
    rows = path if path.is_file() else path / ROWS_FILE
    read_rows_header(rows)
    asked = [row for row in read_rows(rows) if isinstance(row, AnswerRow) and row.benchmark in (key, f"{key}@rank")]
    held = [row for row in asked if row.benchmark == key] or asked
    names = list(dict.fromkeys(row.candidate for row in held))
    if not held:
        raise UserError(f"{path}: no answers to {key}", hint="name a benchmark that the run has")
    if candidate is None and len(names) > 1:
        raise UserError(f"{path}: answers of {', '.join(names)}", hint="name one of them with --candidate")
    wanted = candidate or names[0]
    if wanted not in names:
        raise UserError(f"{path}: no candidate is called {wanted!r}", hint=f"one of {', '.join(names)}")
    chosen = sorted((row for row in held if row.candidate == wanted), key=lambda row: row.sample)
    answers = tuple(Answer(sample_of(row), row.reply, row.visuals, row.status == "failed") for row in chosen)
    return Predictions(f"Fourways run, candidate {wanted}", answers, Oddities(), boxes_of(rows.parent, wanted))


def boxes_of(folder: Path, name: str) -> BoxFormat | None:
    """How the run's header says that the candidate writes boxes; None where nothing does."""
    if not (folder / RUN_FILE).is_file():
        return None
    records = [record for record in read_header(folder).candidates if record.candidate.name == name]
    if not records:
        return None
    declared = records[0].candidate.box_format
    return declared or (None if records[0].engine is None else records[0].engine.box_format)
