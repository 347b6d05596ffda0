"""SHA-256 of files and of data that lies in a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK = 1 << 20


def hash_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


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
