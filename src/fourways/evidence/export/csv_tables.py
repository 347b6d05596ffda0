"""A run as CSV: figures.csv, and rows_KIND.csv for each kind of row that it has.

Contract: columns are the fields of the run's own types, in their order, the same for every run of a version. Text
stands in quotes and everything else does not, so that an empty text ("") and no value (nothing) stay two things;
numbers have every digit; what has parts (labels, lists, records) is JSON. Nothing is changed for the sake of a
spreadsheet: a reply that begins with `=` is written as it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from fourways.core.errors import FourwaysError, UserError
from fourways.core.figure import Figure
from fourways.core.run_files import ROWS_FILE, read_header, read_rows, read_summary
from fourways.evidence.export.asked import wanted

FIGURES = "figures.csv"


def write_csv(run: Path, out: Path, candidate: str | None = None) -> Mapping[Path, int]:
    """File → lines of values in it. candidate: only what is of this one. Nothing appears in `out` before everything is
    written. Raises UserError for a folder that holds such files already, or is none."""
    names = {record.candidate.name for record in wanted(run, read_header(run), candidate)}
    figures = [figure for figure in read_summary(run).figures if figure.candidate in names]
    rows = (row for row in read_rows(run / ROWS_FILE) if row.candidate in names)
    _check(out)
    with ExitStack() as open_files:
        tables = _Tables(out, open_files)
        tables.add(FIGURES, Figure, figures)
        for row in rows:
            tables.add(f"rows_{row.__struct_config__.tag}.csv", type(row), [row])
        return tables.finish()


class _Tables:
    """Files that grow beside their places, and take them together at the end. What is left of a broken export is
    removed."""

    def __init__(self, out: Path, open_files: ExitStack) -> None:
        self._out, self._open_files = out, open_files
        self._streams: dict[str, IO[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, kind: type[msgspec.Struct], values: Iterable[msgspec.Struct]) -> None:
        """Lines of one type; its columns come first in a new file."""
        try:
            if name not in self._streams:
                self._begin(name, kind)
            for value in values:
                self._streams[name].write(_line(getattr(value, field) for field in kind.__struct_fields__))
                self._counts[name] += 1
        except OSError as error:
            raise _unwritten(self._out / name, error) from error

    def _begin(self, name: str, kind: type[msgspec.Struct]) -> None:
        self._out.mkdir(parents=True, exist_ok=True)
        beside = self._beside(name)
        self._open_files.callback(beside.unlink, missing_ok=True)
        stream = self._streams[name] = beside.open("w", encoding="utf-8", newline="")
        self._open_files.callback(_let_go, stream)
        self._counts[name] = 0
        stream.write(_line(kind.__struct_fields__))

    def finish(self) -> dict[Path, int]:
        for name, stream in self._streams.items():
            try:
                stream.close()
                self._beside(name).replace(self._out / name)
            except OSError as error:
                raise _unwritten(self._out / name, error) from error
        return {self._out / name: count for name, count in self._counts.items()}

    def _beside(self, name: str) -> Path:
        return self._out / f".{name}.{os.getpid()}.tmp"


def _let_go(stream: IO[str]) -> None:
    """Of a broken export: what it still held cannot be written, which was told."""
    with suppress(OSError):
        stream.close()


def _check(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file", hint="name a folder")
    with suppress(FileNotFoundError):
        there = sorted(path.name for path in out.iterdir() if path.name == FIGURES or path.match("rows_*.csv"))
        if there:
            raise UserError(f"{out} has {there[0]} already", hint="name another --out, or move it away")


def _unwritten(path: Path, error: OSError) -> FourwaysError:
    return FourwaysError(
        f"{path} could not be written: {error.strerror or error}", hint="free some space or name another --out"
    )


def _line(cells: Iterable[Any]) -> str:
    return f"{','.join(_cells(cells))}\n"


def _cells(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if value is None:
            yield ""
        elif isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, int | float):
            yield repr(value)
        else:
            text = value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
            yield f'"{text.replace(chr(34), chr(34) * 2)}"'
