"""Tables of text as the evaluation kits and spreadsheets write them (minimal quoting): tab, comma or semicolon between
cells, an image in each row.

An image cell is base64, or the path of a file; or, if it has at most 64 characters, the `index` of the row that holds
the image (VLMEvalKit's circular files). The file is walked twice: once to note where each image lies, once to yield
rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fourways.benchmarks.reading.cells import find_image, image_key, image_of, is_empty, kept, names_file
from fourways.benchmarks.reading.files import reader
from fourways.benchmarks.reading.records import Record, check_columns, names_of, shown
from fourways.core.errors import BenchmarkFormatError

REFERENCE_LENGTH = 64
MAX_RECORD_BYTES = 256 * 2**20
SUFFIXES = (".tsv", ".csv")
_HEADER_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class _Raw:
    """A record as it lies in the file: offset and length in bytes, its first line's number, its cells."""

    offset: int
    length: int
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class _Table:
    """A file and what its columns are read as. image, index: their places; -1: there is no index."""

    file: Path
    mark: str
    names: list[str]
    image: int
    index: int

    def where(self, line: int) -> str:
        return f"{self.file}, line {line}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row's own image lies, and a digest of its base64 text."""

    offset: int
    length: int
    digest: str


def read_tsv(file: Path, needed: Sequence[str], columns: Mapping[str, str]) -> Iterator[Record]:
    """The rows of a file with a header line. Between cells: a tab in .tsv; in .csv a comma, or, where the header has
    none, a semicolon, which spreadsheets write where the comma is for decimals. needed: columns that must be
    there, beside `image`; columns: see `names_of`.

    Raises BenchmarkFormatError for missing columns, ragged rows, images that cannot be found, text that is not UTF-8.
    """
    table, places = _survey(file, needed, columns)
    for raw in _records(file, table.mark):
        if raw.offset == 0:
            continue
        where = table.where(raw.line)
        cell = raw.cells[table.image]
        cells = {
            name: _whole(value) if name == "index" else kept(value)
            for name, value in zip(table.names, raw.cells, strict=True)
            if name not in ("", "image") and not is_empty(value)
        }
        if _is_file_name(cell):
            yield Record(where, cells, image_key(cell), reader(find_image(file, cell, where)))
            continue
        own = len(cell) > REFERENCE_LENGTH
        place = _Place(raw.offset, raw.length, image_key(cell)) if own else places.get(_whole(cell))
        if place is None:
            raise BenchmarkFormatError(
                f"{where}: column 'image' is empty or names row {shown(cell)}, which holds no image",
                hint="Take the complete file: rows refer to the image of another row by its index.",
            )
        image = partial(_read, table, place.offset, place.length, raw.line)
        yield Record(where, cells, place.digest, image)


def _survey(file: Path, needed: Sequence[str], columns: Mapping[str, str]) -> tuple[_Table, dict[str, _Place]]:
    """The header, and for each index with an image of its own where that lies."""
    mark = _mark(file)
    table: _Table | None = None
    places: dict[str, _Place] = {}
    for raw in _records(file, mark):
        if table is None:
            names = names_of(file, [name.strip() for name in raw.cells], columns)
            check_columns(file, names, ("image", *needed))
            table = _Table(file, mark, names, names.index("image"), names.index("index") if "index" in names else -1)
            continue
        if len(raw.cells) != len(table.names):
            raise BenchmarkFormatError(
                f"{table.where(raw.line)}: {len(raw.cells)} cells where the header has {len(table.names)}",
                hint="The file was cut or its tabs were changed; fetch it again."
                if mark == "\t"
                else f"Put cells that hold a '{mark}' in double quotes.",
            )
        cell = raw.cells[table.image]
        if table.index >= 0 and len(cell) > REFERENCE_LENGTH and not _is_file_name(cell):
            places[_whole(raw.cells[table.index])] = _Place(raw.offset, raw.length, image_key(cell))
    if table is None:
        raise BenchmarkFormatError(f"{file}: empty file", hint="Fetch it again.")
    return table, places


def _mark(file: Path) -> str:
    with file.open("rb") as stream:
        return mark_between_cells(file.suffix, stream.readline(_HEADER_BYTES).decode("utf-8", errors="replace"))


def mark_between_cells(suffix: str, header: str) -> str:
    """A tab in .tsv; in .csv a comma, or a semicolon where the header has no comma."""
    if suffix.lower() == ".tsv":
        return "\t"
    return ";" if ";" in header and "," not in header else ","


def _is_file_name(cell: str) -> bool:
    return names_file(cell) and not _whole(cell).isdigit()


def _whole(cell: str) -> str:
    """An index as text: pandas writes 241 as 241.0 where a column once had gaps."""
    return cell.strip().removesuffix(".0")


def _read(table: _Table, offset: int, length: int, line: int) -> bytes:
    with table.file.open("rb") as stream:
        stream.seek(offset)
        cells = _split(stream.read(length).decode("utf-8", errors="replace"), table.mark) or []
    if len(cells) != len(table.names):
        raise BenchmarkFormatError(f"{table.where(line)}: the file changed while it was read", hint="Start again.")
    return image_of(table.file, cells[table.image], table.where(line))


def _records(file: Path, mark: str) -> Iterator[_Raw]:
    """Every record of the file, the header first; a quoted cell may hold line breaks."""
    with file.open("rb") as stream:
        offset, line = 0, 1
        while data := stream.readline(MAX_RECORD_BYTES):
            first, lines = line, 1
            cells = _cells(data, file, first, mark)
            while cells is None:
                more = stream.readline(MAX_RECORD_BYTES)
                lines += 1
                while more and b'"' not in more and len(data) <= MAX_RECORD_BYTES:
                    data += more
                    more = stream.readline(MAX_RECORD_BYTES)
                    lines += 1
                data += more
                if not more or len(data) > MAX_RECORD_BYTES:
                    raise BenchmarkFormatError(
                        f"{file}, line {first}: a quoted cell is never closed", hint="The file was cut; fetch it again."
                    )
                cells = _cells(data, file, first, mark)
            if cells != [""] or offset == 0:
                yield _Raw(offset, len(data), first, cells)
            offset += len(data)
            line += lines


def _cells(data: bytes, file: Path, line: int, mark: str) -> list[str] | None:
    try:
        text = data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise BenchmarkFormatError(
            f"{file}, line {line}: not UTF-8 at byte {error.start} of the row", hint="Save the file as UTF-8."
        ) from error
    return _split(text, mark)


def _split(text: str, mark: str = "\t") -> list[str] | None:
    """The cells of a record, or None if a quoted cell goes on past its end. A quote counts only where a cell starts."""
    text = text.removesuffix("\n").removesuffix("\r")
    if '"' not in text:
        return text.split(mark)
    cells: list[str] = []
    start = 0
    while True:
        if text[start : start + 1] == '"':
            end = _closing_quote(text, start + 1)
            if end < 0:
                return None
            # As pandas does, what follows a closing quote up to the mark belongs to the cell.
            stop = text.find(mark, end)
            tail = text[end + 1 : stop] if stop >= 0 else text[end + 1 :]
            cells.append(text[start + 1 : end].replace('""', '"') + tail)
        else:
            stop = text.find(mark, start)
            cells.append(text[start:stop] if stop >= 0 else text[start:])
        if stop < 0:
            return cells
        start = stop + 1


def _closing_quote(text: str, start: int) -> int:
    """The first quote at or after `start` that is not doubled, or -1."""
    while (end := text.find('"', start)) >= 0:
        if text[end + 1 : end + 2] != '"':
            return end
        start = end + 2
    return -1
