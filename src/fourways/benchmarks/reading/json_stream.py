"""One element at a time out of a large JSON file: VQAv2's annotations are 180 MB, and 1.5 GB once they are Python
objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fourways.core.errors import BenchmarkFormatError

_CHUNK = 2**20
MAX_ELEMENT_BYTES = 16 * 2**20


def stream_array(file: Path, key: str | None) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(offset, length, object) for each object in the array `key` of a file's top-level object; None: the file is an
    array. Offsets in bytes.

    Strings are decoded byte by byte (Latin-1), so that offsets hold: take numbers and positions from here, and text
    from the bytes. Raises BenchmarkFormatError for a missing key or broken JSON."""
    decoder = json.JSONDecoder()
    what = "the array" if key is None else f"'{key}'"
    with file.open("rb") as stream:
        buffer, base, place = _find_array(file, stream, key)
        while True:
            place = _skip(buffer, place)
            if place < len(buffer) and buffer[place] == "]":
                return
            try:
                value, end = decoder.raw_decode(buffer, place)
            except (ValueError, RecursionError) as error:
                more = stream.read(_CHUNK).decode("latin-1")
                if not more or len(buffer) - place > MAX_ELEMENT_BYTES:
                    raise BenchmarkFormatError(
                        f"{file}: {what} is broken at byte {base + place} ({error})",
                        hint="The file was cut or edited; fetch it again.",
                    ) from error
                base, buffer, place = base + place, buffer[place:] + more, 0
                continue
            if not isinstance(value, dict):
                raise BenchmarkFormatError(
                    f"{file}: {what} holds something that is no object at byte {base + place}",
                    hint="Check that this is the official file.",
                )
            yield base + place, end - place, value
            place = end


def _find_array(file: Path, stream: Any, key: str | None) -> tuple[str, int, int]:
    """(buffer, its offset in the file, the place after the array's bracket)."""
    pattern = re.compile(r"\[" if key is None else rf'"{re.escape(key)}"\s*:\s*\[')
    buffer, base = "", 0
    while True:
        more = stream.read(_CHUNK).decode("latin-1")
        buffer += more
        if found := pattern.search(buffer):
            return buffer, base, found.end()
        if not more:
            raise BenchmarkFormatError(
                f"{file}: no array" + ("" if key is None else f" '{key}'"),
                hint="Check that questions and annotations were not swapped.",
            )
        keep = min(len(buffer), 4096)
        base, buffer = base + len(buffer) - keep, buffer[-keep:]


def _skip(buffer: str, place: int) -> int:
    """Past white space and the comma between elements."""
    while place < len(buffer) and buffer[place] in " \t\r\n,":
        place += 1
    return place
