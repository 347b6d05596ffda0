"""The files of a recording while it runs, which the trace is made of at its end.

`trace.events`: records as in `record`, but `end` is the owner's number (which thread). `trace.tables`: the messages,
one JSON line each. Both only grow, a whole poll at a time, so whatever kills the reader leaves both readable; a torn
last record or line is left out. They go once trace.json stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from fourways.core.errors import UserError
from fourways.trace.messages import Dropped, Message, Name, Owner, Started, Stopped, Track, decode, encode
from fourways.trace.record import DTYPE
from fourways.trace.ring import Records

EVENTS_FILE = "trace.events"
TABLES_FILE = "trace.tables"
_PIECE = 1 << 16


class SpoolWriter:
    """Appends to the two files of a folder, new ones. Raises OSError if they cannot be made."""

    def __init__(self, folder: Path) -> None:
        self._events = (folder / EVENTS_FILE).open("xb")
        self._tables = (folder / TABLES_FILE).open("xb")

    def note(self, message: Message) -> None:
        self._tables.write(encode(message) + b"\n")

    def put(self, owner: int, records: Records) -> None:
        records["end"] = owner
        self._events.write(records.tobytes())

    def flush(self) -> None:
        """What was put and noted so far outlives this process."""
        self._tables.flush()
        self._events.flush()

    def close(self) -> None:
        self._tables.close()
        self._events.close()


@dataclass
class Spool:
    """What the files of a folder hold. total: events in it, which stay on disk. stopped: None if the program ended
    without closing its recording."""

    path: Path
    total: int
    started: Started | None = None
    stopped: Stopped | None = None
    owners: dict[int, Owner] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    tracks: dict[int, str] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)

    def pieces(self) -> Iterator[Records]:
        """The events as they were written, some at a time."""
        with self.path.open("rb") as stream:
            for left in range(self.total, 0, -_PIECE):
                yield np.fromfile(stream, DTYPE, min(left, _PIECE))

    def count(self) -> tuple[int, int]:
        """Events that are here, and events that are not."""
        refused = 0 if self.stopped is None else self.stopped.refused
        return self.total, sum(self.dropped.values()) + refused


def present(folder: Path) -> bool:
    return (folder / TABLES_FILE).exists()


def read(folder: Path) -> Spool:
    """Raises UserError if the folder holds no recording, or a damaged one."""
    try:
        lines = (folder / TABLES_FILE).read_bytes().split(b"\n")[:-1]
        total = (folder / EVENTS_FILE).stat().st_size // DTYPE.itemsize
    except OSError as error:
        raise UserError(f"{folder} holds no recording: {error.strerror or error}") from error
    spool = Spool(folder / EVENTS_FILE, total)
    for number, line in enumerate(lines, 1):
        try:
            _learn(spool, decode(line))
        except msgspec.DecodeError as error:
            raise UserError(f"{folder / TABLES_FILE}, line {number}: {error}", hint="was the file edited?") from error
    return spool


def remove(folder: Path) -> None:
    (folder / EVENTS_FILE).unlink(missing_ok=True)
    (folder / TABLES_FILE).unlink(missing_ok=True)


def _learn(spool: Spool, message: Message) -> None:
    match message:
        case Started():
            spool.started = message
        case Stopped():
            spool.stopped = message
        case Owner():
            spool.owners[message.number] = message
        case Name():
            spool.names[message.number] = message.name
        case Track():
            spool.tracks[message.number] = message.label
        case Dropped():
            spool.dropped[message.owner] = spool.dropped.get(message.owner, 0) + message.count
