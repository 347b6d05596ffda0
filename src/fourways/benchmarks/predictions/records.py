"""Tables of answers, read leniently: TSV, CSV, XLSX, JSON and JSONL as rows of named cells.

Cells are read as pandas reads them, because that is how the evaluation kits do: an empty cell, `NA`, `None`, `null`, …
is missing, and a missing answer is the text "nan"."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fourways.benchmarks.predictions.found import Oddities
from fourways.benchmarks.reading.tsv import mark_between_cells
from fourways.core.errors import BenchmarkFormatError

Value = object
"""A cell: text, a number, or what JSON holds."""

MISSING = frozenset((
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
))  # fmt: skip
"""Cell texts that pandas reads as missing (its documentation of `read_csv`, `na_values`)."""

SUFFIXES = (".tsv", ".csv", ".xlsx", ".json", ".jsonl")
_MAX_BYTES = 4 * 2**30
_LONGEST_NAME = 4096
_BROKEN = (
    zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, SyntaxError, IndexError, EOFError, AttributeError,
    NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip
"""What the library raises for workbooks that are torn or no workbooks."""
_CARRIAGE = re.compile(r"\r(?!\n)")
_ESCAPED = re.compile(r"_x(00(?:0[0-8BbCcEeFf]|1[0-9A-Fa-f]))_")
"""Control characters that the format refuses, as its specification (ECMA-376, 22.9.2.19) has them written."""


@dataclass(frozen=True, slots=True)
class Row:
    """where: file and row, for messages. cells: column → value, missing ones left out."""

    where: str
    cells: dict[str, Value]

    def text(self, *names: str) -> str | None:
        """The first of these columns that has a value, as text; None if none has."""
        return next((as_text(self.cells[name]) for name in names if name in self.cells), None)


def as_text(value: Value) -> str:
    """As `str` has it for a pandas cell; structures as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def whole_number(value: Value) -> int | None:
    """A whole number, which pandas writes as 241.0 where a column once had gaps."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    try:
        number = float(as_text(value))
        return int(number) if number.is_integer() and abs(number) < 2**53 else None
    except (ValueError, OverflowError):
        return None


def index_of(cells: Mapping[str, Value], otherwise: int) -> str:
    """The row's index as text, a whole one without decimals; or its place in the file."""
    value = cells.get("index", otherwise)
    whole = whole_number(value)
    return as_text(value) if whole is None else str(whole)


def read_records(file: Path, oddities: Oddities) -> Iterator[Row]:
    """The rows of a file by its suffix. Of a column `image`, the name of a file is kept, and pixels are not. Names of
    columns are lower case but for single capitals, as VLMEvalKit has them.

    Raises BenchmarkFormatError for a file that is no such table at all."""
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise BenchmarkFormatError(f"{file}: not one of {', '.join(SUFFIXES)}", hint="Name the file of predictions.")
    readers = {".xlsx": _xlsx, ".json": _json, ".jsonl": _jsonl}
    for where, cells in readers.get(suffix, _separated)(file, oddities):
        named = {column_name(name): value for name, value in cells.items()}
        if not _is_name(named.get("image")):
            named.pop("image", None)
        yield Row(where, {name: value for name, value in named.items() if not _missing(value)})


def one_table(path: Path) -> Path:
    """The file itself, or the only table of a folder. Raises BenchmarkFormatError where there is none, or a choice."""
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(found) == 1:
        return found[0]
    named = ", ".join(file.name for file in found[:5]) or f"none of {', '.join(SUFFIXES)}"
    raise BenchmarkFormatError(f"{path}: a folder with {len(found)} tables ({named})", hint="Name the file to score.")


def column_name(column: str) -> str:
    """As VLMEvalKit has it: lower case, but for single capitals (options)."""
    column = column.strip()
    return column if len(column) == 1 and column.isupper() else column.lower()


def _is_name(image: Value) -> bool:
    """Whether a cell of the column image is the name of a file: base64 has no full stop."""
    return isinstance(image, str) and len(image) <= _LONGEST_NAME and "." in image


def _missing(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _filled(cells: Iterable[Value]) -> list[Value]:
    """A table's cells, those that pandas reads as missing as None. In JSON "None" is a word like any other."""
    return [None if isinstance(cell, str) and cell in MISSING else cell for cell in cells]


def read_bytes(file: Path) -> bytes:
    """Raises BenchmarkFormatError where it cannot be read."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise BenchmarkFormatError(f"{file}: larger than 4 GiB", hint="Is this a file of answers?")
        return file.read_bytes()
    except OSError as error:
        raise BenchmarkFormatError(
            f"{file}: {error.strerror or error}", hint="Check the path and its rights."
        ) from error


def decode(file: Path, data: bytes, oddities: Oddities) -> str:
    """Text of UTF-8 with or without a byte order mark, or of UTF-16 with one. Other bytes become U+FFFD, counted."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        oddities.note("file with bytes that are not UTF-8, read as U+FFFD", f"{file.name}, byte {error.start}")
        return data.decode(encoding, errors="replace")


def _separated(file: Path, oddities: Oddities) -> Iterator[tuple[str, dict[str, Value]]]:
    text = decode(file, read_bytes(file), oddities)
    lone = len(_CARRIAGE.findall(text))
    if lone:
        oddities.note("lone carriage return, read as a line break", file.name, lone)
        text = _CARRIAGE.sub("\n", text)
    csv.field_size_limit(2**31 - 1)
    mark = mark_between_cells(file.suffix, text.partition("\n")[0])
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    header: list[str] = []
    try:
        for cells in lines:
            if not cells or cells == [""]:
                continue
            if not header:
                header = cells
                continue
            where = f"{file.name}, line {lines.line_num}"
            if len(cells) != len(header):
                oddities.note(f"row with more or fewer cells than the header has ({_advice(mark)})", where)
            yield where, dict(zip(header, _filled(cells), strict=False))
    except csv.Error as error:
        raise BenchmarkFormatError(f"{file}, line {lines.line_num}: {error}", hint="Save the table again.") from error
    if not header:
        raise BenchmarkFormatError(f"{file}: empty file", hint="Name the file of predictions.")


def _advice(mark: str) -> str:
    return "is it whole?" if mark == "\t" else f"put cells that hold a '{mark}' in double quotes"


def _xlsx(file: Path, oddities: Oddities) -> Iterator[tuple[str, dict[str, Value]]]:
    """The first sheet. Whole numbers are read as such, as pandas does."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise BenchmarkFormatError(f"{file}: unpacks to more than 4 GiB", hint="Is this a file of answers?")
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except BenchmarkFormatError:
        raise
    except OSError as error:
        raise BenchmarkFormatError(
            f"{file}: {error.strerror or error}", hint="Check the path and its rights."
        ) from error
    except (*_BROKEN, InvalidFileException) as error:
        raise BenchmarkFormatError(f"{file}: not an XLSX workbook ({error})", hint="Save it as XLSX again.") from error
    try:
        for sheet in book.worksheets[:1]:
            # The sheet's own word on its size is not trusted: rows would be padded to it.
            sheet.reset_dimensions()
            yield from _sheet(file, sheet.iter_rows(values_only=True))
    except _BROKEN as error:
        raise BenchmarkFormatError(f"{file}: a broken XLSX sheet ({error})", hint="Save it as XLSX again.") from error
    finally:
        book.close()


def _sheet(file: Path, rows: Iterator[tuple[Value, ...]]) -> Iterator[tuple[str, dict[str, Value]]]:
    header: list[str] = []
    for number, cells in enumerate(rows, 1):
        if not any(cell is not None for cell in cells):
            continue
        if not header:
            header = ["" if cell is None else as_text(cell) for cell in cells]
            continue
        yield f"{file.name}, row {number}", dict(zip(header, _filled(_cell(cell) for cell in cells), strict=False))
    if not header:
        raise BenchmarkFormatError(f"{file}: empty sheet", hint="Name the file of predictions.")


def _cell(value: Value) -> Value:
    """Whole floats are whole numbers; control characters that the format writes as _xHHHH_ are themselves again."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and "_x" in value:
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    return value


def _json(file: Path, oddities: Oddities) -> Iterator[tuple[str, dict[str, Value]]]:
    """A list of objects; or an object that holds such a list under a usual name; or columns of equal length."""
    text = decode(file, read_bytes(file), oddities)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{") and "\n{" in text.strip():
            yield from _lines(file, text, oddities)
            return
        raise BenchmarkFormatError(f"{file}: not JSON ({error})", hint="Is the file whole?") from error
    if isinstance(value, dict):
        value = _unwrapped(value)
    if not isinstance(value, list):
        raise BenchmarkFormatError(f"{file}: not a list of objects", hint="Expected [{…}, {…}].")
    for number, item in enumerate(value):
        if isinstance(item, dict):
            yield f"{file.name}, item {number}", {str(name): cell for name, cell in item.items()}
        else:
            oddities.note("item that is no object, left out", f"{file.name}, item {number}")


def _unwrapped(value: dict[str, Value]) -> Value:
    lists = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
    if len(lists) == 1:
        return lists[0]
    columns = {name: item for name, item in value.items() if isinstance(item, dict)}
    if columns and len(columns) == len(value):
        keys = list(dict.fromkeys(key for column in columns.values() for key in column))
        return [{name: column.get(key) for name, column in columns.items()} for key in keys]
    return value


def _jsonl(file: Path, oddities: Oddities) -> Iterator[tuple[str, dict[str, Value]]]:
    text = decode(file, read_bytes(file), oddities)
    if text.lstrip().startswith("["):
        yield from _json(file, oddities)
        return
    yield from _lines(file, text, oddities)


def _lines(file: Path, text: str, oddities: Oddities) -> Iterator[tuple[str, dict[str, Value]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file.name}, line {number}"
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            oddities.note("line that is not JSON, left out", where)
            continue
        if isinstance(item, dict):
            yield where, item
        else:
            oddities.note("line that is no object, left out", where)
