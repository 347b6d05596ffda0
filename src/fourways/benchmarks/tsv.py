"""TSV as the evaluation kits write it (pandas, tab, minimal quoting), with base64 images or references to them.

An image cell of at most 64 characters names the `index` of the row that holds the image (VLMEvalKit's circular files);
a longer one is the image. The file is walked twice: once to note where each image lies, once to yield rows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fourways.benchmarks.records import Record, check_columns
from fourways.core.errors import BenchmarkFormatError

REFERENCE_LENGTH = 64
MAX_RECORD_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class _Raw:
    """A record as it lies in the file: offset and length in bytes, its first line's number, its cells."""

    offset: int
    length: int
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row's own image lies, and a digest of its base64 text."""

    offset: int
    length: int
    digest: str


def read_tsv(file: Path, columns: Sequence[str]) -> Iterator[Record]:
    """The rows of a TSV file with a header line. columns: those that must be there, beside `index` and `image`.

    Raises BenchmarkFormatError for missing columns, ragged rows, images that cannot be found, text that is not UTF-8.
    """
    header, places = _survey(file, columns)
    column = header.index("image")
    index_column = header.index("index")
    for raw in _records(file):
        if raw.offset == 0:
            continue
        where = f"{file}, line {raw.line}"
        index = _whole(raw.cells[index_column])
        place = places.get(_source(raw.cells[column], index))
        if place is None:
            raise BenchmarkFormatError(
                f"{where}: column 'image' is empty or names row '{raw.cells[column]}', which holds no image",
                hint="Take the complete file: rows refer to the image of another row by its index.",
            )
        cells = {
            name: _whole(value) if name == "index" else value
            for name, value in zip(header, raw.cells, strict=True)
            if name != "image" and value not in ("", "nan", "NaN")
        }
        reader = partial(_decode, file, place.offset, place.length, column, where)
        yield Record(where, cells, place.digest, reader)


def _survey(file: Path, columns: Sequence[str]) -> tuple[list[str], dict[str, _Place]]:
    """The header, and for each index with an image of its own where that lies."""
    header: list[str] = []
    places: dict[str, _Place] = {}
    for raw in _records(file):
        if not header:
            header = [name.strip() for name in raw.cells]
            check_columns(file, header, ("index", "image", *columns))
            continue
        if len(raw.cells) != len(header):
            raise BenchmarkFormatError(
                f"{file}, line {raw.line}: {len(raw.cells)} cells where the header has {len(header)}",
                hint="The file was cut or its tabs were changed; fetch it again.",
            )
        cell = raw.cells[header.index("image")]
        if len(cell) > REFERENCE_LENGTH:
            digest = hashlib.blake2b(cell.encode(), digest_size=16).hexdigest()
            index = _whole(raw.cells[header.index("index")])
            if index in places:
                raise BenchmarkFormatError(
                    f"{file}, line {raw.line}: column 'index' repeats {index}", hint="Each row needs its own index."
                )
            places[index] = _Place(raw.offset, raw.length, digest)
    if not header:
        raise BenchmarkFormatError(f"{file}: empty file", hint="Fetch it again.")
    return header, places


def _source(cell: str, index: str) -> str:
    return index if len(cell) > REFERENCE_LENGTH else _whole(cell)


def _whole(cell: str) -> str:
    """An index as text: pandas writes 241 as 241.0 where a column once had gaps."""
    return cell.strip().removesuffix(".0")


def _decode(file: Path, offset: int, length: int, column: int, where: str) -> bytes:
    with file.open("rb") as stream:
        stream.seek(offset)
        cells = _split(stream.read(length).decode("utf-8"))
    try:
        return base64.b64decode("".join((cells or [])[column].split()), validate=True)
    except (binascii.Error, ValueError, IndexError) as error:
        raise BenchmarkFormatError(
            f"{where}: column 'image' is not base64 ({error})",
            hint="The file is damaged, or it changed while it was read.",
        ) from error


def _records(file: Path) -> Iterator[_Raw]:
    """Every record of the file, the header first; a quoted cell may hold line breaks."""
    with file.open("rb") as stream:
        offset, line = 0, 1
        while data := stream.readline(MAX_RECORD_BYTES):
            first, lines = line, 1
            cells = _cells(data, file, first)
            while cells is None:
                more = stream.readline(MAX_RECORD_BYTES)
                data += more
                if not more or len(data) > MAX_RECORD_BYTES:
                    raise BenchmarkFormatError(
                        f"{file}, line {first}: a quoted cell is never closed", hint="The file was cut; fetch it again."
                    )
                lines += 1
                cells = _cells(data, file, first)
            if cells != [""] or offset == 0:
                yield _Raw(offset, len(data), first, cells)
            offset += len(data)
            line += lines


def _cells(data: bytes, file: Path, line: int) -> list[str] | None:
    try:
        text = data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise BenchmarkFormatError(
            f"{file}, line {line}: not UTF-8 at byte {error.start} of the row", hint="Save the file as UTF-8."
        ) from error
    return _split(text)


def _split(text: str) -> list[str] | None:
    """The cells of a record, or None if a quoted cell goes on past its end. A quote counts only where a cell starts."""
    text = text.removesuffix("\n").removesuffix("\r")
    if '"' not in text:
        return text.split("\t")
    cells: list[str] = []
    start = 0
    while True:
        if text[start : start + 1] == '"':
            end = _closing_quote(text, start + 1)
            if end < 0:
                return None
            # As pandas does, what follows a closing quote up to the tab belongs to the cell.
            tab = text.find("\t", end)
            tail = text[end + 1 : tab] if tab >= 0 else text[end + 1 :]
            cells.append(text[start + 1 : end].replace('""', '"') + tail)
        else:
            tab = text.find("\t", start)
            cells.append(text[start:tab] if tab >= 0 else text[start:])
        if tab < 0:
            return cells
        start = tab + 1


def _closing_quote(text: str, start: int) -> int:
    """The first quote at or after `start` that is not doubled, or -1."""
    while (end := text.find('"', start)) >= 0:
        if text[end + 1 : end + 2] != '"':
            return end
        start = end + 2
    return -1
