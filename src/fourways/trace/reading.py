"""Reading a trace.json that this room wrote, a line at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fourways.core.errors import UserError
from fourways.core.events import STAGES
from fourways.trace.chrome import FIRST_EXTRA_ROW, REQUESTS, TRACE_SCHEMA


class Timed(msgspec.Struct, frozen=True):
    """A span, or an instant (both ends are one). started_ns, ended_ns: on `perf_counter` of the recording's host. open:
    it never ended. tensor_alloc_bytes, mem_reserved_peak_kb: of an instant; 0 if not given."""

    name: str
    started_ns: int
    ended_ns: int
    instant: bool = False
    open: bool = False
    tensor_alloc_bytes: int = 0
    mem_reserved_peak_kb: int = 0


class About(msgspec.Struct, frozen=True):
    """What a trace says of itself."""

    schema: str
    events: int
    dropped: int
    complete: bool
    origin_perf_counter_ns: int
    origin_unix_ns: int | None

    def unix_ns(self, perf_counter_ns: int) -> int:
        """The wall clock's instant; its own jumps during the recording are not in it."""
        return (self.origin_unix_ns or 0) + perf_counter_ns - self.origin_perf_counter_ns


@dataclass
class Requests:
    """The rows of a trace that belong to requests. rows: label → what happened, by start. Requests of one label are in
    one list."""

    about: About
    rows: dict[str, list[Timed]] = field(default_factory=dict)


class _Arguments(msgspec.Struct, frozen=True):
    name: str = ""
    open: bool = False
    tensor_alloc_bytes: int = 0
    mem_reserved_peak_kb: int = 0


class _Event(msgspec.Struct, frozen=True):
    """A line of the file. ts, dur: microseconds with three decimals, kept as they stand."""

    ph: str
    pid: int
    tid: int
    name: str
    ts: msgspec.Raw = msgspec.Raw(b"0")
    dur: msgspec.Raw = msgspec.Raw(b"0")
    args: _Arguments = _Arguments()


class _Head(msgspec.Struct, frozen=True):
    other: About = msgspec.field(name="otherData")


_event = msgspec.json.Decoder(_Event).decode


def requests(path: str | os.PathLike[str]) -> Requests:
    """The requests of a trace. Raises UserError if it cannot be read or is not one of ours."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            found = Requests(_about(path, stream.readline()))
            _fill(found, path, stream)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    for row in found.rows.values():
        row.sort(key=lambda timed: (timed.started_ns, -timed.ended_ns))
    return found


def stages_ms(path: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    """Label of a request → stage (of `core.events.STAGES`, in their order) → milliseconds, as `Done.stages_ms` says.
    Spans of other names are left out, and so are stages that a request has none of. Raises as `requests`."""
    return {label: _stages_ms(row) for label, row in requests(path).rows.items()}


def _stages_ms(row: list[Timed]) -> dict[str, float]:
    spent = dict.fromkeys(STAGES, 0)
    for timed in row:
        if timed.name in spent and not timed.instant and not timed.open:
            spent[timed.name] += timed.ended_ns - timed.started_ns
    return {stage: ns / 1e6 for stage, ns in spent.items() if ns}


def _about(path: Path, line: bytes) -> About:
    try:
        about = msgspec.json.decode(line.rstrip() + b"]}", type=_Head).other
    except msgspec.DecodeError as error:
        raise UserError(f"{path} is no trace of Fourways: {error}", hint="its first line says what it is") from error
    if about.schema != TRACE_SCHEMA:
        raise UserError(f"{path} is of schema {about.schema!r}, and this version reads {TRACE_SCHEMA}")
    return about


def _fill(found: Requests, path: Path, lines: Iterable[bytes]) -> None:
    labels: dict[int, str] = {}
    for number, line in enumerate(lines, 2):
        text = line.rstrip(b",\n")
        if not text or text == b"]}":
            continue
        try:
            event = _event(text)
            if event.pid == REQUESTS:
                _take(found, labels, event)
        except ValueError as error:  # msgspec's are of this kind
            raise UserError(f"{path}, line {number}: {error}", hint="was the file edited?") from error


def _take(found: Requests, labels: dict[int, str], event: _Event) -> None:
    """Names of rows come before what is in them. A row's further lanes carry its name and a number."""
    if event.name == "thread_name" and event.ph == "M":
        label = event.args.name
        labels[event.tid] = label.rpartition(" [")[0] if event.tid >= FIRST_EXTRA_ROW else label
        return
    if event.ph not in ("X", "i"):
        return
    started = found.about.origin_perf_counter_ns + _ns(event.ts)
    label = labels.get(event.tid, f"request {event.tid}")
    found.rows.setdefault(label, []).append(
        Timed(
            event.name, started, started + _ns(event.dur), event.ph == "i", event.args.open,
            event.args.tensor_alloc_bytes, event.args.mem_reserved_peak_kb,
        )
    )  # fmt: skip


def _ns(microseconds: msgspec.Raw) -> int:
    """Exactly: a float of microseconds would lose nanoseconds after some weeks."""
    whole, _, rest = bytes(microseconds).partition(b".")
    return int(whole + rest.ljust(3, b"0")[:3])
