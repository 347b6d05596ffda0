"""The lock file: SHA-256 digests pinned at the first pull, for files of which nobody published one.

Trust on first use. The first pull of such a file writes its digest here; every later pull, on any machine that has this
file, must find the same digest. It is meant to be committed beside the candidates and suites of a project. Which one is
in force: the one named, else $FOURWAYS_DATA_LOCK, else `fourways-data.lock` in the working folder if it is there, else
the one in the data folder.

An entry is written before the data is declared to be in place, under a lock, by replacing the file whole; entries are
added, never changed. A lock file that cannot be read stops the pull: to go on without it would be to trust anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from filelock import FileLock

from fourways.core.errors import FourwaysError, UserError
from fourways.core.run_files import write_whole
from fourways.hub.cache import cache_home
from fourways.hub.data.disk import disk_errors

FILE = "fourways-data.lock"
SCHEMA = "fourways.data-lock/1"
VARIABLE = "FOURWAYS_DATA_LOCK"


class Pin(msgspec.Struct, frozen=True):
    """sha256: hex. size: bytes. source: where the first pull got it. first_pulled: a date, UTC."""

    sha256: str
    size: int
    source: str
    first_pulled: str


class _Pins(msgspec.Struct):
    schema: str
    files: dict[str, Pin]


class Lock:
    """The lock file at a path; it need not exist yet. Names are `key:edition/file`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def in_force(cls, data_home: Path, named: Path | None = None) -> Lock:
        """The one that counts here; the module says which."""
        if named is not None:
            return cls(named)
        if given := os.environ.get(VARIABLE):
            return cls(Path(given).expanduser())
        here = Path.cwd() / FILE
        return cls(here if here.exists() else data_home / FILE)

    def pin(self, name: str) -> Pin | None:
        """Raises UserError if the file is there and cannot be read."""
        return self._read().files.get(name)

    def add(self, name: str, pin: Pin) -> None:
        """Pins what is not pinned yet."""
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            cache_home().mkdir(parents=True, exist_ok=True)
            with FileLock(cache_home() / ".data-lock.lock"):
                pins = self._read()
                pins.files.setdefault(name, pin)
                pins.files = dict(sorted(pins.files.items()))
                self._write(pins)

    def _write(self, pins: _Pins) -> None:
        try:
            write_whole(self.path, msgspec.json.format(msgspec.json.encode(pins), indent=1) + b"\n")
        except FourwaysError as error:
            raise FourwaysError(error.message, hint="name another one: --lock FILE") from error

    def _read(self) -> _Pins:
        try:
            pins = msgspec.json.decode(self.path.read_bytes(), type=_Pins)
        except FileNotFoundError:
            return _Pins(SCHEMA, {})
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror or error}") from error
        except msgspec.DecodeError as error:
            raise UserError(f"{self.path} is no lock file: {error}", hint=_RESTORE) from error
        if pins.schema != SCHEMA:
            raise UserError(f"{self.path} is of schema {pins.schema!r}, and this version reads {SCHEMA}")
        return pins


_RESTORE = "restore it; deleting it means to trust the next pull as if it were the first"
