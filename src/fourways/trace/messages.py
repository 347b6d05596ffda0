"""What the recorder tells its reader, and what the reader keeps of it in `trace.tables`, one JSON line each."""

from __future__ import annotations

import msgspec

from fourways.core.run import ClockRecord


class Started(msgspec.Struct, frozen=True, tag=True):
    """origin_ns: `time.perf_counter_ns` when the recording began; unix_ns: `time.time_ns` then; what: the program."""

    pid: int
    origin_ns: int
    unix_ns: int
    what: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The reader's first word: it reads from now on."""


class NewRing(msgspec.Struct, frozen=True, tag=True):
    """Comes with the descriptor of its memory."""

    ring: int
    bytes: int


class Owner(msgspec.Struct, frozen=True, tag=True):
    """From record `first` on, the ring holds what this thread writes. number: of the owner, from 1."""

    number: int
    ring: int
    first: int
    thread: str
    native_id: int


class Name(msgspec.Struct, frozen=True, tag=True):
    number: int
    name: str


class Track(msgspec.Struct, frozen=True, tag=True):
    number: int
    label: str


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """Records of an owner that were written and could not be read."""

    owner: int
    count: int


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """The end. written: records of each ring, by its number. refused: events of threads that got no ring."""

    written: dict[int, int]
    refused: int
    clock: ClockRecord


class Counts(msgspec.Struct, frozen=True, tag=True):
    """What became of a recording's events: in the trace, or dropped (overwritten before they were read, or refused)."""

    events: int
    dropped: int


Message = Started | Ready | NewRing | Owner | Name | Track | Dropped | Stopped | Counts

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode
