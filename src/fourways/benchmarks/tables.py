"""Rows of a table with an image in each: TSV with base64 cells, or parquet with image bytes.

Both are read as streams. A row holds text and a way to its image, never the image, so memory stays bounded by the
largest single row however long the file is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fourways.benchmarks.parquet import read_parquet
from fourways.benchmarks.records import Record
from fourways.benchmarks.tsv import read_tsv
from fourways.core.errors import BenchmarkFormatError


def table_files(path: Path) -> tuple[Path, ...]:
    """The table files of a benchmark: the file itself, or every .tsv or .parquet in a folder (and in its `data`).

    Raises BenchmarkFormatError where there is none, or where TSV and parquet lie side by side.
    """
    if path.is_file():
        return (path,)
    for folder in (path, path / "data"):
        found = {suffix: tuple(sorted(folder.glob(f"*{suffix}"))) for suffix in (".tsv", ".parquet")}
        if all(found.values()):
            raise BenchmarkFormatError(
                f"{folder}: holds both TSV and parquet files", hint="Name the one file to read instead of the folder."
            )
        files = found[".tsv"] or found[".parquet"]
        if len(found[".tsv"]) > 1:
            raise BenchmarkFormatError(
                f"{folder}: holds {len(files)} TSV files", hint="Name the one file to read instead of the folder."
            )
        if files:
            return files
    raise BenchmarkFormatError(
        f"{path}: no .tsv or .parquet file here", hint="Give the table file, or the folder that holds it."
    )


def read_table(path: Path, columns: Sequence[str], key_column: str | None = None) -> Iterator[Record]:
    """The rows of the table file(s) at `path`, in file order. columns: those that must be there, beside `image`.

    key_column names what identifies a row's image in parquet (its bytes do, where that column is absent). Raises
    BenchmarkFormatError naming file, row and column.
    """
    for file in table_files(path):
        if file.suffix.lower() == ".parquet":
            yield from read_parquet(file, columns, key_column)
        else:
            yield from read_tsv(file, columns)
