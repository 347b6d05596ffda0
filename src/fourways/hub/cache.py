"""Fourways' own cache folder, and the digests of large files kept in it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from fourways.core.digests import hash_file


def cache_home() -> Path:
    """`$FOURWAYS_CACHE`, else `$XDG_CACHE_HOME/fourways`, else `~/.cache/fourways`. It may be deleted at any time."""
    if own := os.environ.get("FOURWAYS_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fourways"


class DigestCache:
    """SHA-256 by path, size, modification time and inode: a 16 GB checkpoint is read once, not once a run.

    A cache that cannot be read or written costs time only.
    """

    def __init__(self) -> None:
        self._path = cache_home() / "sha256.json"
        try:
            self._known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            self._known = {}

    def sha256(self, file: Path) -> str:
        """Hex digest of the file as it is now."""
        stat = file.stat()
        key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
        if key not in self._known:
            self._known[key] = hash_file(file)
        return self._known[key]

    def save(self) -> None:
        beside = self._path.with_name(f".sha256.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(self._known))
            beside.replace(self._path)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
