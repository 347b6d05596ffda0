"""Parquet as the Hugging Face Hub serves it: an `image` column of struct<bytes, path>, or of plain bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fourways.benchmarks.records import Record, check_columns
from fourways.core.errors import BenchmarkFormatError

_BATCH = 8
"""Images decoded from a page at a time."""


def read_parquet(file: Path, columns: Sequence[str], key_column: str | None) -> Iterator[Record]:
    """The rows of one parquet file. columns: those that must be there, beside `image`; key_column: see `read_table`.

    Raises BenchmarkFormatError for a file that is not parquet, or lacks columns.
    """
    source = _open(file)
    present: list[str] = source.schema_arrow.names
    check_columns(file, present, ("image", *columns))
    images = _Images(file)
    text_columns = [name for name in present if name != "image" and _is_scalar(source.schema_arrow.field(name).type)]
    row = 0
    for batch in source.iter_batches(batch_size=256, columns=text_columns):
        for values in batch.to_pylist():
            cells = {name: str(value) for name, value in values.items() if value is not None and str(value) != ""}
            reader = partial(images.read, row)
            key = cells.get(key_column or "") or hashlib.blake2b(reader(), digest_size=16).hexdigest()
            yield Record(f"{file}, row {row + 1}", cells, key, reader)
            row += 1


class _Images:
    """The image column, read forward. Going back starts the file again: memory holds one batch, not a row group."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._batches: Iterator[Any] | None = None
        self._first = 0
        self._held: list[Any] = []

    def read(self, row: int) -> bytes:
        """The image bytes of a row (0-based). Safe from several threads."""
        with self._lock:
            if self._batches is None or row < self._first:
                source = _open(self._file)
                self._batches = source.iter_batches(batch_size=_BATCH, columns=["image"])
                self._first, self._held = 0, []
            while row >= self._first + len(self._held):
                self._first += len(self._held)
                self._held = next(self._batches).column(0).to_pylist()
            value = self._held[row - self._first]
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes) or not data:
            raise BenchmarkFormatError(
                f"{self._file}, row {row + 1}: column 'image' holds no bytes",
                hint="Export the data set with its images embedded.",
            )
        return data


def _open(file: Path) -> Any:
    try:
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=2**16)
    except (pa.ArrowException, OSError) as error:
        raise BenchmarkFormatError(
            f"{file}: cannot be read as parquet ({str(error).splitlines()[0]})", hint="Fetch the file again."
        ) from error


def _is_scalar(kind: Any) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
