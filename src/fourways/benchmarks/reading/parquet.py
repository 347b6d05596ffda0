"""Parquet as the Hugging Face Hub serves it: an `image` column of struct<bytes, path>, of plain bytes, or of text (a
path below the file's folder, or base64)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fourways.benchmarks.reading.cells import image_of, is_empty, kept
from fourways.benchmarks.reading.records import Record, check_columns, names_of
from fourways.core.errors import BenchmarkFormatError

_BATCH = 8
"""Images decoded from a page at a time."""


def read_parquet(
    file: Path, needed: Sequence[str], columns: Mapping[str, str], key_column: str | None, lists: Collection[str]
) -> Iterator[Record]:
    """The rows of one parquet file. needed: columns that must be there, beside `image`; columns: see `names_of`;
    key_column, lists: see `read_table`.

    Raises BenchmarkFormatError for a file that is not parquet, or lacks columns.
    """
    source = _open(file)
    present: list[str] = source.schema_arrow.names
    names = names_of(file, present, columns)
    check_columns(file, names, ("image", *needed))
    images = _Images(file, present[names.index("image")])
    kinds = {name: source.schema_arrow.field(name).type for name in present}
    taken = {
        own: name
        for own, name in zip(present, names, strict=True)
        if name not in ("", "image") and (_is_scalar(kinds[own]) or (name in lists and pa.types.is_nested(kinds[own])))
    }
    for row, values in enumerate(chain.from_iterable(_batches(file, source, 256, list(taken)))):
        cells, nested = {}, {}
        for own, value in values.items():
            if isinstance(value, (list, dict)):
                nested[taken[own]] = value
            elif value is not None and not is_empty(str(value)):
                cells[taken[own]] = kept(str(value))
        read = partial(images.read, row)
        key = cells.get(key_column or "") or hashlib.blake2b(read(), digest_size=16).hexdigest()
        yield Record(f"{file}, row {row + 1}", cells, key, read, nested)


class _Images:
    """The image column, read forward. Going back starts the file again: memory holds one batch, not a row group."""

    def __init__(self, file: Path, column: str) -> None:
        self._file = file
        self._column = column
        self._lock = threading.Lock()
        self._batches: Iterator[list[dict[str, Any]]] | None = None
        self._first = 0
        self._held: list[dict[str, Any]] = []

    def read(self, row: int) -> bytes:
        """The image bytes of a row (0-based). Safe from several threads."""
        with self._lock:
            if self._batches is None or row < self._first:
                self._batches = _batches(self._file, _open(self._file), _BATCH, [self._column])
                self._first, self._held = 0, []
            while row >= self._first + len(self._held):
                self._first += len(self._held)
                self._held = next(self._batches, [])
                if not self._held:
                    raise BenchmarkFormatError(
                        f"{self._file}, row {row + 1}: column '{self._column}' ends before it", hint="Fetch it again."
                    )
            value = self._held[row - self._first][self._column]
        data = value.get("bytes") if isinstance(value, dict) else value
        where = f"{self._file}, row {row + 1}"
        if isinstance(data, str) and data:
            return image_of(self._file, data, where)
        if not isinstance(data, bytes) or not data:
            raise BenchmarkFormatError(
                f"{where}: column '{self._column}' holds no bytes",
                hint="Export the data set with its images embedded.",
            )
        return data


def _open(file: Path) -> Any:
    try:
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=2**16)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error


def _batches(file: Path, source: Any, size: int, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Rows of these columns, so many at a time. A file that is damaged behind its footer shows it only here."""
    batches = source.iter_batches(batch_size=size, columns=columns)
    try:
        while (batch := next(batches, None)) is not None:
            rows: list[dict[str, Any]] = batch.to_pylist()
            yield rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> BenchmarkFormatError:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return BenchmarkFormatError(f"{file}: cannot be read as parquet ({first})", hint="Fetch the file again.")


def _is_scalar(kind: Any) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
