"""Fourways' own cache folder, and the digests of large files kept in it.

The digests are lines of `sha256.jsonl`: [path, what the file system said, digest]. A digest is written the moment its
file was read to the end, in one append, so that a kill costs the files in progress and two processes lose nothing of
each other's; the last line of a path counts. A line is believed only while size, modification time, change time and
inode are as they were, and none is kept of a file younger than two seconds: within a tick of the clock it could change
again and look the same. A cache that cannot be read or written costs time only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from fourways.core.digests import hash_file

_Line = tuple[str, str, str]
_SETTLED_NS = 2_000_000_000
_MANY_LINES = 4096


def cache_home() -> Path:
    """`$FOURWAYS_CACHE`, else `$XDG_CACHE_HOME/fourways`, else `~/.cache/fourways`. It may be deleted at any time."""
    if own := os.environ.get("FOURWAYS_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fourways"


class DigestCache:
    """SHA-256 of files: a 16 GB checkpoint is read once, not once a run. Several threads may ask at once."""

    def __init__(self) -> None:
        self._path = cache_home() / "sha256.jsonl"
        self._known: dict[str, tuple[str, str]] = {}
        lines = self._read()
        if lines > _MANY_LINES and lines > 2 * len(self._known):
            self._write_again()

    def known(self, file: Path) -> str | None:
        """The digest, if the file is as it was when it was last read. Raises OSError if it is not there."""
        stamp, digest = self._known.get(str(file.resolve()), ("", ""))
        return digest if stamp == _stamp(file.stat()) else None

    def sha256(self, file: Path, at: Callable[[int], None] | None = None) -> str:
        """Hex digest of the file as it is now. at, errors: as `core.digests.hash_file` has them."""
        if (digest := self.known(file)) is not None:
            return digest
        before = file.stat()
        digest = hash_file(file, at)
        after = file.stat()
        settled = time.time_ns() - max(after.st_mtime_ns, after.st_ctime_ns) > _SETTLED_NS
        if settled and _stamp(before) == _stamp(after):
            self._remember(str(file.resolve()), _stamp(after), digest)
        return digest

    def _remember(self, place: str, stamp: str, digest: str) -> None:
        """A line begins on a line of its own, whatever a kill may have left half written."""
        self._known[place] = (stamp, digest)
        line = b"\n" + msgspec.json.encode((place, stamp, digest)) + b"\n"
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)

    def _read(self) -> int:
        """How many lines there are."""
        try:
            lines = [line for line in self._path.read_bytes().splitlines() if line]
        except OSError:
            return 0
        decoder = msgspec.json.Decoder(_Line)
        for line in lines:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                place, stamp, digest = decoder.decode(line)
                self._known[place] = (stamp, digest)
        return len(lines)

    def _write_again(self) -> None:
        """Without the lines that no longer count. What another process appends meanwhile is lost, and costs time."""
        self._known = {place: kept for place, kept in self._known.items() if Path(place).exists()}
        beside = self._path.with_name(f".sha256.{os.getpid()}.tmp")
        try:
            beside.write_bytes(b"".join(msgspec.json.encode((p, *kept)) + b"\n" for p, kept in self._known.items()))
            beside.replace(self._path)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"
