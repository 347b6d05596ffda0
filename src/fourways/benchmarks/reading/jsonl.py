"""Rows as JSON: one object a line, or one array of objects. Images are paths, or base64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fourways.benchmarks.reading.cells import find_image, image_key, image_of, kept, names_file
from fourways.benchmarks.reading.files import reader
from fourways.benchmarks.reading.json_stream import stream_array
from fourways.benchmarks.reading.records import Record, check_columns, names_of
from fourways.core.errors import BenchmarkFormatError

MAX_LINE_BYTES = 256 * 2**20
_T = TypeVar("_T")
_BOM = b"\xef\xbb\xbf"
_BLANK = _BOM + b" \t\r\n"
_HINT = "A row is a JSON object, one a line; or the file is one array of them."


def read_json(file: Path, needed: Sequence[str], columns: Mapping[str, str]) -> Iterator[Record]:
    """The rows of a file. needed: columns that every row must have, beside `image`; columns: see `names_of`. Raises
    BenchmarkFormatError naming file, row and column."""
    for where, offset, length, found in _rows(file):
        names = names_of(Path(where), list(found), columns)
        check_columns(Path(where), names, ("image", *needed))
        row = {name: value for name, value in zip(names, found.values(), strict=True) if name}
        yield _record(file, where, offset, length, row, columns.get("image", "image"))


def decode_lines(file: Path, decoder: msgspec.json.Decoder[_T], hint: str) -> Iterator[tuple[int, str, _T]]:
    """(line number, where, row) of each line that is not empty, as an official program writes it. Raises
    BenchmarkFormatError, with the hint, for a line of another form."""
    with file.open("rb") as stream:
        number = 0
        while data := stream.readline(MAX_LINE_BYTES):
            number += 1
            if data.strip(_BLANK):
                where = f"{file}, line {number}"
                try:
                    yield number, where, decoder.decode(data.removeprefix(_BOM))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise BenchmarkFormatError(f"{where}: {error}", hint=hint) from error


def _record(file: Path, where: str, offset: int, length: int, row: dict[str, Any], column: str) -> Record:
    cell = row.pop("image")
    if not isinstance(cell, str) or not cell.strip():
        raise BenchmarkFormatError(
            f"{where}: column '{column}' is no text", hint="An image is a path relative to the file, or base64."
        )
    image = reader(find_image(file, cell, where)) if names_file(cell) else partial(_read, file, offset, length, column)
    cells = {name: kept(text) for name, value in row.items() if (text := _text(value))}
    nested = {name: value for name, value in row.items() if isinstance(value, (list, dict))}
    return Record(where, cells, image_key(cell), image, nested)


def _text(value: object) -> str:
    """A scalar as a cell; "" for what is none, or empty. A whole number that was written as 7.0 is 7."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) and str(value).strip() else ""


def _read(file: Path, offset: int, length: int, column: str) -> bytes:
    where = f"{file}, byte {offset}"
    with file.open("rb") as stream:
        stream.seek(offset)
        cell = _decode(stream.read(length), where).get(column)
    if not isinstance(cell, str):
        raise BenchmarkFormatError(f"{where}: the file changed while it was read", hint="Start again.")
    return image_of(file, cell, where)


def _rows(file: Path) -> Iterator[tuple[str, int, int, dict[str, Any]]]:
    """(where, offset, length, object) of each row."""
    with file.open("rb") as stream:
        start = stream.read(2**16).lstrip(_BLANK)
        if start.startswith(b"["):
            for number, (offset, length, _) in enumerate(stream_array(file, None), 1):
                stream.seek(offset)
                where = f"{file}, entry {number}"
                yield where, offset, length, _decode(stream.read(length), where)
            return
        stream.seek(0)
        offset, number = 0, 0
        while data := stream.readline(MAX_LINE_BYTES):
            number += 1
            if data.strip(_BLANK):
                where = f"{file}, line {number}"
                yield where, offset, len(data), _decode(data, where)
            offset += len(data)
    if number == 0:
        raise BenchmarkFormatError(f"{file}: empty file", hint="Fetch it again.")


def _decode(data: bytes, where: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data.removeprefix(_BOM), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BenchmarkFormatError(f"{where}: {error}", hint=_HINT) from error
