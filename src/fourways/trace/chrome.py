"""trace.json: the Trace Event Format that ui.perfetto.dev and chrome://tracing open, one event a line.

Process 1 is the program, with a row for each thread; process 2 holds a row for each request. Spans are complete events
("X"), instants "i", memory counters "C". Spans of one row that overlap without nesting go to a further row of the same
name, since the format knows only nesting. Instants count from the recording's start; `otherData` says when that was,
how many events there are, how many were dropped, and which clock stamped them.
Format: "Trace Event Format", Google, docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from fourways.core.errors import FourwaysError
from fourways.core.run_files import TRACE_FILE
from fourways.trace import spool as spools
from fourways.trace.record import INSTANT
from fourways.trace.ring import Records
from fourways.trace.session import MORE_NAMES
from fourways.trace.spans import Spans, kinds, lanes, names, rows, spans
from fourways.trace.spool import Spool

TRACE_SCHEMA = "fourways.trace/v1"
PROGRAM, REQUESTS = 1, 2
FIRST_EXTRA_ROW = 1 << 31
_CHUNK = 1 << 16

_json = msgspec.json.Encoder().encode


def finish(folder: Path) -> tuple[int, int]:
    """Make trace.json of a recording's files and remove them: (events in it, events dropped). The trace appears whole
    or not at all. Raises UserError without a recording, FourwaysError if the trace cannot be written."""
    spool = spools.read(folder)
    beside = folder / f".{TRACE_FILE}.{os.getpid()}.tmp"
    try:
        with beside.open("wb") as stream:
            write(spool, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(folder / TRACE_FILE)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FourwaysError(
            f"{folder / TRACE_FILE} could not be written: {error.strerror or error}",
            hint="free some space; then fourways.trace.recover(folder) makes it",
        ) from error
    counts = spool.count()
    spools.remove(folder)
    return counts


def write(spool: Spool, stream: IO[bytes]) -> None:
    """The whole trace, piece by piece: events stay on disk; what is held is some 80 bytes for each span."""
    found, unmatched = spans(spool.pieces())
    lane = lanes(found)
    origin = _origin(spool)
    stream.write(b'{"displayTimeUnit":"ns","otherData":' + _json(_about(spool, unmatched)) + b',"traceEvents":[\n')
    stream.write(_meta(PROGRAM, 0, "process_name", {"name": _program(spool)}))
    stream.writelines(_row_names(spool, found, lane))
    stream.writelines(_spans(spool, found, lane, origin))
    stream.writelines(_instants(spool, origin))
    stream.write(b"\n]}\n")


def _origin(spool: Spool) -> int:
    """Where time begins in the trace, by `perf_counter_ns`: at the recording's start, or at its first event."""
    if spool.started is not None:
        return spool.started.origin_ns
    return min((int(events["timestamp_ns"].min()) for events in spool.pieces()), default=0)


def _about(spool: Spool, unmatched: int) -> dict[str, object]:
    events, dropped = spool.count()
    started, stopped = spool.started, spool.stopped
    by_thread: dict[str, int] = {}
    for owner, count in spool.dropped.items():
        by_thread[_thread(spool, owner)] = by_thread.get(_thread(spool, owner), 0) + count
    return {
        "schema": TRACE_SCHEMA,
        "events": events,
        "dropped": dropped,
        "dropped_by_thread": by_thread,
        "refused": 0 if stopped is None else stopped.refused,
        "ends_without_begin": unmatched,
        "complete": stopped is not None,
        "origin_perf_counter_ns": _origin(spool),
        "origin_unix_ns": None if started is None else started.unix_ns,
        "clock": None if stopped is None else stopped.clock,
    }


def _program(spool: Spool) -> str:
    started = spool.started
    return "program" if started is None else f"{started.what} ({started.pid})"


def _thread(spool: Spool, owner: int) -> str:
    known = spool.owners.get(owner)
    return "unknown thread" if known is None else f"{known.thread} ({known.native_id})"


def _meta(process: int, row: int, what: str, values: dict[str, object]) -> bytes:
    return _json({"ph": "M", "pid": process, "tid": row, "name": what, "args": values})


def _place(row: int) -> tuple[int, int]:
    """Process and thread in the format's words."""
    return (REQUESTS, row) if row > 0 else (PROGRAM, -row)


def _title(spool: Spool, row: int) -> str:
    return spool.tracks.get(row, f"request {row}") if row > 0 else _thread(spool, -row)


def _row_names(spool: Spool, found: Spans, lane: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Iterator[bytes]:
    if spool.tracks:
        yield b",\n" + _meta(REQUESTS, 0, "process_name", {"name": "requests"})
    for row in (*(-owner for owner in spool.owners), *spool.tracks):
        process, thread = _place(row)
        yield b",\n" + _meta(process, thread, "thread_name", {"name": _title(spool, row)})
        yield b",\n" + _meta(process, thread, "thread_sort_index", {"sort_index": abs(row)})
    for (row, number), thread in _extra_rows(found, lane).items():
        process, _ = _place(row)
        yield b",\n" + _meta(process, thread, "thread_name", {"name": f"{_title(spool, row)} [{number + 1}]"})
        yield b",\n" + _meta(process, thread, "thread_sort_index", {"sort_index": abs(row)})


def _extra_rows(found: Spans, lane: np.ndarray[tuple[int], np.dtype[np.int32]]) -> dict[tuple[int, int], int]:
    """(row, lane) → the number of its own row, for every lane but the first."""
    more = np.flatnonzero(lane)
    pairs = dict.fromkeys(zip(found["row"][more].tolist(), lane[more].tolist(), strict=True))
    return {pair: FIRST_EXTRA_ROW + number for number, pair in enumerate(pairs)}


def _quoted(spool: Spool) -> dict[int, str]:
    known = {number: _json(name).decode() for number, name in spool.names.items()}
    known.setdefault(MORE_NAMES, '"(more names than a trace holds)"')
    return known


def _name(quoted: dict[int, str], number: int) -> str:
    """An event's name as it stands in JSON; one whose name was never told says its number."""
    return quoted.get(number) or f'"name {number}"'


def _spans(
    spool: Spool, found: Spans, lane: np.ndarray[tuple[int], np.dtype[np.int32]], origin: int
) -> Iterator[bytes]:
    quoted, extra = _quoted(spool), _extra_rows(found, lane)
    for at in range(0, len(found), _CHUNK):
        lines = []
        lanes_here = lane[at : at + _CHUNK].tolist()
        for (row, start, end, name, is_open), number in zip(found[at : at + _CHUNK].tolist(), lanes_here, strict=True):
            process, thread = _place(row)
            thread = extra[row, number] if number else thread
            tail = ',"args":{"open":true}}' if is_open else "}"
            lines.append(
                f',\n{{"ph":"X","pid":{process},"tid":{thread},"ts":{_us(start - origin)},"dur":{_us(end - start)},'
                f'"name":{_name(quoted, name)}{tail}'
            )
        yield "".join(lines).encode()


def _instants(spool: Spool, origin: int) -> Iterator[bytes]:
    quoted = _quoted(spool)
    for part in spool.pieces():
        yield "".join(_instant(quoted, origin, *fields) for fields in _fields(part[kinds(part) == INSTANT])).encode()


def _fields(events: Records) -> Iterator[tuple[int, int, int, int, int]]:
    return zip(
        rows(events).tolist(), names(events).tolist(), events["timestamp_ns"].tolist(),
        events["value"].tolist(), events["mem_reserved_peak_kb"].tolist(), strict=True,
    )  # fmt: skip


def _instant(
    quoted: dict[int, str], origin: int, row: int, name: int, stamp: int, allocated: int, reserved: int
) -> str:
    process, thread = _place(row)
    when = _us(stamp - origin)
    line = (
        f',\n{{"ph":"i","s":"t","pid":{process},"tid":{thread},"ts":{when},"name":{_name(quoted, name)},"args":'
        f'{{"timestamp_ns":{stamp},"tensor_alloc_bytes":{allocated},"mem_reserved_peak_kb":{reserved}}}}}'
    )
    if allocated:
        line += _counter("tensor_alloc_bytes", when, "bytes", allocated)
    if reserved:
        line += _counter("mem_reserved_peak_kb", when, "KiB", reserved)
    return line


def _counter(name: str, when: str, unit: str, value: int) -> str:
    return f',\n{{"ph":"C","pid":{PROGRAM},"tid":0,"ts":{when},"name":"{name}","args":{{"{unit}":{value}}}}}'


def _us(nanoseconds: int) -> str:
    """Microseconds to the nanosecond, exactly."""
    sign = "-" if nanoseconds < 0 else ""
    whole, rest = divmod(abs(nanoseconds), 1000)
    return f"{sign}{whole}.{rest:03d}"
