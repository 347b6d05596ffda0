"""Reading the files of a run folder, and writing one whole. The rooms that write rows or sign files build on this."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from fourways.core.errors import FourwaysError, UserError
from fourways.core.figure import SUMMARY_SCHEMA, Summary
from fourways.core.rows import ROWS_SCHEMA, Row, RowsHeader
from fourways.core.run import RUN_SCHEMA, RunHeader, RunState

RUN_FILE = "run.json"
ROWS_FILE = "rows.jsonl"
SUMMARY_FILE = "summary.json"
STATE_FILE = "state.json"
REPORT_FILE = "report.html"
TRACE_FILE = "trace.json"
STATEMENT_FILE = "statement.json"
SIGNATURE_FILE = "statement.json.asc"

_EDITED = "was it edited, or made by another version?"
_row = msgspec.json.Decoder(Row)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_File = TypeVar("_File", RunHeader, Summary, RunState, RowsHeader)


def read_header(folder: Path) -> RunHeader:
    """Raises UserError if the folder holds no run, or one of another schema."""
    path = folder / RUN_FILE
    return decode_header(_read(path, folder), path)


def decode_header(content: bytes, path: Path) -> RunHeader:
    """path: for the message. Raises UserError for what is no header, or one of another schema."""
    header = _decoded(content, RunHeader, f"{path} is not a {RUN_SCHEMA} header")
    _check_schema(path, header.schema, RUN_SCHEMA)
    return header


def read_summary(folder: Path) -> Summary:
    """Raises UserError if the folder holds no summary, or one of another schema."""
    path = folder / SUMMARY_FILE
    return decode_summary(_read(path, folder), path)


def decode_summary(content: bytes, path: Path) -> Summary:
    """As `decode_header`."""
    summary = _decoded(content, Summary, f"{path} is not a {SUMMARY_SCHEMA} file")
    _check_schema(path, summary.schema, SUMMARY_SCHEMA)
    return summary


def read_state(path: Path) -> RunState:
    """The state of a run; empty if it was stopped before anything was finished."""
    try:
        return decode_state((path / STATE_FILE).read_bytes(), path / STATE_FILE)
    except FileNotFoundError:
        return RunState()


def decode_state(content: bytes, path: Path) -> RunState:
    """As `decode_header`."""
    return _decoded(content, RunState, f"{path} is not a run's state")


def read_rows_header(path: Path) -> RowsHeader:
    """Line 1 of a rows.jsonl. Raises UserError if it is not one, or one of another schema."""
    try:
        with path.open("rb") as stream:
            line = stream.readline()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return decode_rows_header(line, path)


def decode_rows_header(line: bytes, path: Path) -> RowsHeader:
    """As `decode_header`."""
    header = _decoded(line, RowsHeader, f"{path}, line 1: not a rows header")
    _check_schema(path, header.schema, ROWS_SCHEMA)
    return header


def read_rows(path: Path) -> Iterator[Row]:
    """The rows in the order they were written, one at a time; nothing if the file is not there. A torn last line is
    left out. Raises UserError naming the line if any other cannot be read."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if number == 1 or not line.endswith(b"\n"):
                continue
            try:
                yield _row.decode(line)
            except _UNREADABLE as error:
                raise UserError(f"{path}, line {number}: not a row: {error}", hint="was the file edited?") from error


def write_whole(path: Path, content: bytes) -> None:
    """The file appears complete or stays as it was, also through a kill or a full disk."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.unlink(missing_ok=True)
        with beside.open("xb") as stream:  # never through a link that waits there
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FourwaysError(
            f"{path} could not be written: {error.strerror or error}", hint="free some space or name another --out"
        ) from error


def _decoded(content: bytes, kind: type[_File], wrong: str) -> _File:
    try:
        return msgspec.json.decode(content, type=kind)
    except _UNREADABLE as error:
        raise UserError(f"{wrong}: {error}", hint=_EDITED) from error


def _check_schema(path: Path, found: str, known: str) -> None:
    if found != known:
        raise UserError(f"{path} is of schema {found!r}, and this version reads {known}", hint=_EDITED)


def _read(path: Path, folder: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{folder} holds no run: {path.name} cannot be read ({error.strerror or error})",
            hint="name a folder that `fourways compare` made, such as runs/2026-11-22T10-04-05Z-qwen-llava-internvl",
        ) from error
