"""An image in a cell of text: base64, or the path of a file below the table's folder.

Base64 has no full stop, and the name of an image file has one: so neither is ever taken for the other."""

from __future__ import annotations

import base64
import binascii
import hashlib
import sys
from pathlib import Path

from fourways.benchmarks.reading.files import find_below
from fourways.core.errors import BenchmarkFormatError

_REPEATED = 256
_EMPTY = frozenset(("", "nan", "NaN"))


def is_empty(cell: str) -> bool:
    """Whether the cell is blank, or what pandas writes where there is nothing."""
    return cell.strip() in _EMPTY


def kept(cell: str) -> str:
    """The cell as it is kept: one object for equal texts, because options, categories and the questions of rotations
    repeat."""
    return sys.intern(cell) if len(cell) <= _REPEATED else cell


def names_file(cell: str) -> bool:
    """Whether the cell is a path."""
    return "." in cell


def find_image(file: Path, cell: str, where: str) -> Path:
    """The image that a cell of the table `file` names: beside the table, or in `images` beside it."""
    return find_below((file.parent, file.parent / "images"), cell.strip(), where)


def image_key(cell: str) -> str:
    """Equal for equal cells, and short."""
    return cell.strip() if names_file(cell) else hashlib.blake2b(cell.encode(), digest_size=16).hexdigest()


def image_of(file: Path, cell: str, where: str) -> bytes:
    """The bytes. Raises BenchmarkFormatError for a file that is not there and for text that is no base64."""
    if names_file(cell):
        return find_image(file, cell, where).read_bytes()
    _, mark, data = cell.partition("base64,")
    try:
        found = base64.b64decode("".join((data if mark else cell).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BenchmarkFormatError(
            f"{where}: column 'image' is not base64 ({error})",
            hint="An image is base64 text, or the path of a file, with its suffix, relative to the table.",
        ) from error
    if not found:
        raise BenchmarkFormatError(f"{where}: column 'image' is empty", hint="Fill the cell, or delete the row.")
    return found
