"""rows.jsonl: append-only facts of a run.

Contract: line 1 is the header; every other line is one row. A row is handed to the operating system in one write before
`append` returns, so a killed process loses at most the row it was writing. A last line without its newline is such a
torn row: reading ignores it, and opening to append cuts it off. One process writes at a time. When a write fails
(a full disk) the file is cut back to its last whole row and the error says so.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from fourways.core.errors import FourwaysError, UserError
from fourways.core.rows import FailureRow, Row, RowsHeader
from fourways.core.run_files import ROWS_FILE, read_rows, read_rows_header

SUPERSEDED = "rows.superseded.jsonl"

_encoder = msgspec.json.Encoder(order="deterministic")
_row = msgspec.json.Decoder(Row)


class RowsNotWritten(FourwaysError):
    """The run cannot go on, because its rows cannot be kept; those so far are."""


class RowLog:
    """The one writer of a run's rows. `count`: rows in the file, the header not counted."""

    def __init__(self, folder: Path, header: RowsHeader) -> None:
        """Opens rows.jsonl of the folder, or begins it. Raises UserError if another process writes to it or its
        header is another run's; RowsNotWritten if it cannot be written."""
        self.path = folder / ROWS_FILE
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _write_failed(self.path, 0, error) from error
        try:
            _lock(self._fd, self.path)
            self._end, self.count = self._cut_torn_line()
            if self._end == 0:
                self._write(_encoder.encode(header) + b"\n")
            elif (found := read_rows_header(self.path)) != header:
                raise UserError(f"{self.path} belongs to another run: {found.run_id}, not {header.run_id}")
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, row: Row) -> None:
        """Raises RowsNotWritten; the rows so far stay."""
        line = _encoder.encode(row)
        self._write((line if _reads_back(line) else _encoder.encode(_unfit(row))) + b"\n")
        self.count += 1

    def sync(self) -> None:
        """Returns when the rows so far are on the disk itself."""
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> RowLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _cut_torn_line(self) -> tuple[int, int]:
        end = rows = 0
        with self.path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    end += len(line)
                    rows += 1
        os.ftruncate(self._fd, end)
        return end, max(0, rows - 1)

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            os.ftruncate(self._fd, self._end)
            raise _write_failed(self.path, self.count, error) from error
        self._end += len(line)


def supersede(folder: Path, which: Callable[[Row], bool]) -> int:
    """Moves the rows that `which` picks out of rows.jsonl into rows.superseded.jsonl, and says how many."""
    return rewrite(folder, lambda row: None if which(row) else row)


def rewrite(folder: Path, change: Callable[[Row], Row | None]) -> int:
    """Puts what `change` makes of each row in its place (None: nothing); rows that it changes are kept in
    rows.superseded.jsonl. Says how many. `change` is asked twice of the same row, and must answer alike.

    The moved rows are on the disk before the others are rewritten, so a kill in between keeps every row.
    """
    path = folder / ROWS_FILE
    if not any(change(row) != row for row in read_rows(path)):
        return 0
    moved = 0
    kept = path.with_name(f".{ROWS_FILE}.tmp")
    try:
        with path.open("rb") as old, kept.open("wb") as new, (folder / SUPERSEDED).open("ab") as aside:
            _lock(old.fileno(), path)
            new.write(old.readline())
            for line in (line for line in old if line.endswith(b"\n")):
                row = _row.decode(line)
                if (changed := change(row)) == row:
                    new.write(line)
                    continue
                aside.write(line)
                moved += 1
                if changed is not None:
                    new.write(_encoder.encode(changed) + b"\n")
            for stream in (aside, new):
                stream.flush()
                os.fsync(stream.fileno())
        kept.replace(path)
    except OSError as error:
        kept.unlink(missing_ok=True)
        raise _write_failed(path, 0, error) from error
    return moved


def check_free(folder: Path) -> None:
    """Raises UserError if another process is writing the run's rows."""
    path = folder / ROWS_FILE
    if path.is_file():  # a pipe would be waited for
        with path.open("rb") as rows:
            _lock(rows.fileno(), path)


def _lock(fd: int, path: Path) -> None:
    """Held until the descriptor is closed, or the process ends. Of a file that was replaced since it was opened, the
    rows written now would be lost; it counts as held."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = not os.path.samestat(os.fstat(fd), path.stat())
    except BlockingIOError:
        held = True
    except OSError as error:
        raise UserError(
            f"{path} cannot be locked: {error.strerror or error}", hint="keep runs on a file system that has locks"
        ) from error
    if held:
        raise UserError(f"another process is writing to {path}", hint="wait for it to end, or stop it, then resume")


def _reads_back(line: bytes) -> bool:
    """A number that is not finite is written as null, which only some fields may hold."""
    try:
        _row.decode(line)
    except msgspec.ValidationError:
        return False
    return True


def _unfit(row: Row) -> FailureRow:
    kind = type(row).__struct_config__.tag
    return FailureRow(
        candidate=row.candidate,
        axis=axis_of(row),
        scope="sample",
        where=str(getattr(row, "sample", getattr(row, "step", getattr(row, "item", "")))),
        message=f"a number of this {kind} row is not finite",
    )


_AXIS_OF = {
    "answer": "accuracy",
    "request": "latency",
    "client": "latency",
    "terms": "latency",
    "probe": "latency",
    "work": "latency",
    "ceiling": "latency",
    "energy": "latency",
    "memory_sample": "memory",
    "memory_predicted": "memory",
    "memory_timeline": "memory",
    "train_step": "tuning",
    "tune_answer": "tuning",
}


def axis_of(row: Row) -> str:
    """The axis that a row belongs to."""
    return row.axis if isinstance(row, FailureRow) else _AXIS_OF[str(type(row).__struct_config__.tag)]


def _write_failed(path: Path, rows: int, error: OSError) -> RowsNotWritten:
    return RowsNotWritten(
        f"{path} could not be written: {error.strerror or error}; its {rows} rows so far are kept",
        hint=f"free some space, then: fourways compare --resume {path.parent}",
    )
