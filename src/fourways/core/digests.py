"""SHA-256 of files and of data that lies in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from fourways.core.errors import FourwaysError

_BUFFER = 1 << 18
"""One buffer that is filled again and again and stays in the processor's cache: of 16 KiB to 4 MiB, and against a
mapped file, the quickest by processor time (bench/hub.py has openssl beside it)."""


def hash_file(path: Path, at: Callable[[int], None] | None = None) -> str:
    """Hex SHA-256 of a file's bytes. at: told the bytes of each piece that was read; what it raises ends the reading.

    Raises FourwaysError if the file was written to, or another took its place, while it was read: such a digest would
    be of no file that ever was.
    """
    digest, done = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as stream:
        before = os.fstat(stream.fileno())
        buffer = memoryview(bytearray(max(1, min(_BUFFER, before.st_size))))
        while done <= before.st_size and (count := stream.readinto(buffer)):  # one that grows might never end
            digest.update(buffer[:count])
            done += count
            if at is not None:
                at(count)
    if done != before.st_size or _content(before) != _content(path.stat()):
        raise FourwaysError(
            f"{path} changed while its SHA-256 was computed", hint="wait until nothing writes to it, then try again"
        )
    return digest.hexdigest()


def _content(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def hash_data(path: Path) -> str:
    """Hex SHA-256 that identifies a file, or a folder with all files in it: the digest of the lines
    `<file digest>  <relative path>` in the order of the paths. Names and contents count; times and modes do not."""
    if path.is_file():
        return hash_file(path)
    lines = (
        f"{hash_file(file)}  {file.relative_to(path).as_posix()}\n"
        for file in sorted(path.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
