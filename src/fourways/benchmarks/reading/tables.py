"""Rows of a table with an image in each: TSV, CSV, parquet, JSON lines or a JSON array.

All are read as streams. A row holds text and a way to its image, never the image, so memory stays bounded by the
largest single row however long the file is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from fourways.benchmarks.reading.jsonl import read_json
from fourways.benchmarks.reading.records import Record, shown
from fourways.benchmarks.reading.tsv import SUFFIXES as TEXT
from fourways.benchmarks.reading.tsv import read_tsv
from fourways.core.errors import BenchmarkFormatError

JSON = (".jsonl", ".json")
SUFFIXES = (*TEXT, ".parquet", *JSON)
SHARD = re.compile(r"(?P<split>\w+)-\d{5}-of-\d{5}\.parquet")
"""A part of a split, as the Hugging Face Hub names it."""
_IN_FOLDERS = (".tsv", ".parquet")
_AS_IT_IS: Mapping[str, str] = {}


def table_files(path: Path) -> tuple[Path, ...]:
    """The table files of a benchmark: the file itself, or the TSV or every parquet file in a folder (or in its `data`).

    Raises BenchmarkFormatError where there is none, or where it is not clear which is meant.
    """
    if path.is_file():
        return (path,)
    for folder in (path, path / "data"):
        found = [files for suffix in _IN_FOLDERS if (files := tuple(sorted(folder.glob(f"*{suffix}"))))]
        if len(found) > 1:
            kinds = " and ".join(files[0].suffix.lstrip(".") for files in found)
            raise BenchmarkFormatError(
                f"{folder}: holds both {kinds} files", hint="Name the one file to read instead of the folder."
            )
        if found and len(found[0]) > 1 and found[0][0].suffix.lower() != ".parquet":
            raise BenchmarkFormatError(
                f"{folder}: holds {len(found[0])} {found[0][0].suffix.lstrip('.').upper()} files",
                hint="Name the one file to read instead of the folder.",
            )
        if found:
            _check_one_split(folder, found[0])
            return found[0]
    raise BenchmarkFormatError(
        f"{path}: no {_either(_IN_FOLDERS)} file here",
        hint=f"Name the table itself: {_either(SUFFIXES)}.",
    )


def _check_one_split(folder: Path, files: Sequence[Path]) -> None:
    splits = sorted({shard["split"] for file in files if (shard := SHARD.fullmatch(file.name))})
    if len(splits) > 1:
        raise BenchmarkFormatError(
            f"{folder}: holds the splits {', '.join(splits)}",
            hint="Name one file, or put the files of one split in a folder of their own.",
        )


def read_table(
    path: Path,
    needed: Sequence[str],
    key_column: str | None = None,
    *,
    columns: Mapping[str, str] = _AS_IT_IS,
    identity: Sequence[str] = ("index",),
    lists: Collection[str] = (),
) -> Iterator[Record]:
    """The rows of the table file(s) at `path`, in file order. needed: columns that must be there, beside `image`.

    key_column names what identifies a row's image in parquet (its bytes do, where that column is absent). columns: what
    is wanted → what the file calls it. identity: columns that together may not be the same in two rows, if all are
    there. lists: columns of parquet to be read as `nested` where they hold lists or objects. Raises
    BenchmarkFormatError naming file, row and column.
    """
    seen: set[tuple[str, ...]] = set()
    for file in table_files(path):
        for record in _read_file(file, needed, key_column, columns, lists):
            own = tuple(record.cells.get(name, "") for name in identity)
            if all(own):
                if own in seen:
                    raise BenchmarkFormatError(
                        f"{record.where}: column {_quoted(identity)} repeats {shown(' '.join(own))[1:-1]}",
                        hint="Each row needs its own index.",
                    )
                seen.add(own)
            yield record


def _read_file(
    file: Path, needed: Sequence[str], key_column: str | None, columns: Mapping[str, str], lists: Collection[str]
) -> Iterator[Record]:
    suffix = file.suffix.lower()
    try:
        if suffix == ".parquet":
            from fourways.benchmarks.reading.parquet import read_parquet  # slow to load, and most tables are text

            yield from read_parquet(file, needed, columns, key_column, lists)
        elif suffix in JSON:
            yield from read_json(file, needed, columns)
        elif suffix in TEXT:
            yield from read_tsv(file, needed, columns)
        else:
            raise BenchmarkFormatError(
                f"{file}: '{suffix}' is no table", hint=f"Tables end in {_either(SUFFIXES)}; rename or convert it."
            )
    except OSError as error:
        raise BenchmarkFormatError(
            f"{file}: {error.strerror or error}", hint="Check the path and its rights."
        ) from error


def _either(suffixes: Sequence[str]) -> str:
    return f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"


def _quoted(names: Sequence[str]) -> str:
    return " + ".join(f"'{name}'" for name in names)
