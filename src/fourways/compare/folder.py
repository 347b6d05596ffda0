"""A run's folder while it grows: its rows, and which parts of it are finished.

Contract: `state.json` names (axis, candidate) pairs whose rows are all in rows.jsonl; it is written after those rows
are on the disk. What it does not name is done again, or gone on with, by the next resume.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from fourways.compare.losses import try_again
from fourways.core.errors import UserError
from fourways.core.rows import ROWS_SCHEMA, AnswerRow, FailureRow, RequestRow, Row, RowsHeader
from fourways.core.run import RunHeader, RunState
from fourways.core.run_files import ROWS_FILE, STATE_FILE, read_rows, write_whole
from fourways.evidence import RowLog, axis_of, redact, supersede, write_header

ELSEWHERE = "name another --out"


class RunFolder:
    """An open run. Only one process may hold it."""

    def __init__(self, path: Path, header: RunHeader, state: RunState) -> None:
        """Raises UserError if another process holds the run."""
        self.path = path
        self.header = header
        self._state = state
        source = header.source
        self._log = RowLog(
            path, RowsHeader(ROWS_SCHEMA, header.run_id, source.commit, source.branch, source.commit_date)
        )

    def finished(self, axis: str, candidate: str) -> bool:
        return candidate in self._state.finished.get(axis, ())

    def rows(self, which: Callable[[Row], bool]) -> list[Row]:
        """Rows so far that `which` picks."""
        return [row for row in read_rows(self.path / ROWS_FILE) if which(row)]

    def append(self, row: Row) -> None:
        self._log.append(_clean(row))

    def finish(self, axis: str, candidate: str) -> None:
        """All rows of this pair are written."""
        self._log.sync()
        self._state.finished.setdefault(axis, []).append(candidate)
        write_whole(self.path / STATE_FILE, msgspec.json.encode(self._state))

    def rewrite(self, header: RunHeader) -> None:
        """What a finished axis adds to run.json."""
        self.header = header
        write_header(header, self.path)

    def close(self) -> None:
        self._log.close()


def check_new(folder: Path, otherwise: str = "") -> None:
    """Raises UserError unless a new run can be kept there. otherwise: what else one may do with a folder in use."""
    if folder.is_file():
        raise UserError(f"{folder} is a file", hint="name a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint=f"name a new folder{otherwise}")
    parent = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"{folder} cannot be made: {parent} is no folder that you may write to", hint=ELSEWHERE)


def make(folder: Path) -> None:
    """Raises UserError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror or error}", hint=ELSEWHERE) from error


def clear_unfinished(path: Path, state: RunState) -> int:
    """Sets aside what the next pass makes again: of each unfinished (axis, candidate) pair all of latency, because it
    is interleaved and starts anew, and the failures; the other axes go on from their rows. Says how many."""

    def again(row: Row) -> bool:
        axis = axis_of(row)
        return row.candidate not in state.finished.get(axis, ()) and (axis == "latency" or isinstance(row, FailureRow))

    return supersede(path, again)


def reopen(path: Path, state: RunState) -> RunState:
    """The state without the candidates some of whose questions failed for a reason that may have passed (a lost server,
    a dead worker), after setting those answers aside. The state is written first: a kill in between asks again, and
    loses nothing."""
    again = {row.candidate for row in read_rows(path / ROWS_FILE) if _may_have_passed(row)}
    if not again:
        return state
    finished = {axis: list(names) for axis, names in state.finished.items()}
    finished["accuracy"] = [name for name in finished.get("accuracy", ()) if name not in again]
    reopened = RunState(state.schema, finished)
    write_whole(path / STATE_FILE, msgspec.json.encode(reopened))
    supersede(path, _may_have_passed)
    return reopened


def _may_have_passed(row: Row) -> bool:
    return isinstance(row, AnswerRow) and try_again(row)


def _clean(row: Row) -> Row:
    """Messages may quote paths and URLs; what is published must not."""
    if isinstance(row, FailureRow):
        hint = row.hint and redact(row.hint)
        return msgspec.structs.replace(row, where=redact(row.where), message=redact(row.message), hint=hint)
    if isinstance(row, RequestRow) and row.error is not None:
        return msgspec.structs.replace(row, error=redact(row.error))
    if isinstance(row, AnswerRow) and "error" in row.extra:
        return msgspec.structs.replace(row, extra={**row.extra, "error": redact(row.extra["error"])})
    return row
