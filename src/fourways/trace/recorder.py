"""Emitting events, and the recording that they go to.

Nothing records: every function here is one test of a global. Something records: each thread that emits gets a ring of
its own on its first event, and gives it back when it ends, for the next thread to go on with; so there are as many
rings as threads were ever busy at once, not as threads that came and went. The reader is told of a ring's new owner
before that one's first record; if it cannot be told (it is far behind), the event is counted as refused instead.

A forked child records nothing (its parent's rings have one writer) until it starts a recording of its own; a spawned
one never knew of any.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from types import TracebackType

from fourways.trace import ring as rings
from fourways.trace.record import (
    BEGIN,
    END,
    INSTANT,
    MAX_KB,
    MAX_TRACK,
    MAX_U64,
    SPAN,
    THREAD,
    clamped,
)
from fourways.trace.ring import Ring
from fourways.trace.session import Session

_now = time.perf_counter_ns
_write = rings.write
_session: Session | None = None
_local: threading.local | None = None
"""`ring` and `lease` of each thread in the recording under way; None while nothing records."""
_names: dict[str, int] = {}


def emit(name: str, track: int = THREAD, tensor_alloc_bytes: int = 0, mem_reserved_peak_kb: int = 0) -> None:
    """One instant.

    name: what happened, from a small set: a name is stored once. track: a request's, by `track`; without one the event
    is the thread's. tensor_alloc_bytes: bytes of tensors allocated now. mem_reserved_peak_kb: KiB that the allocator
    reserved at most. 0: not given; values out of range saturate. Raises TypeError for numbers that are no integers.
    """
    if _local is None or not track:
        return
    try:
        ring: Ring = _local.ring
        what = _names[name]
    except (AttributeError, KeyError):
        _first(name, track, INSTANT, _now(), tensor_alloc_bytes, mem_reserved_peak_kb)
        return
    stamp = _now()
    # From here to the end of the write nothing lets a signal's handler in, so no other event takes the same place.
    ring.at = at = ring.at + 32
    try:
        _write(ring.buffer, at, ring.mark, what, track, stamp, tensor_alloc_bytes, mem_reserved_peak_kb, ring.lap)
    except struct.error:
        _store_odd(ring, at, what, track, stamp, tensor_alloc_bytes, mem_reserved_peak_kb)


def begin(name: str, track: int = THREAD) -> None:
    """A span begins; `end` with the same name and track ends it, on whatever thread. One that is never ended is shown
    as open."""
    if _local is not None and track:
        _put(name, track, BEGIN, _now(), 0)


def end(name: str, track: int = THREAD) -> None:
    """Ends the span of that name and track that began last. A thread's own span ends on the thread that began it."""
    if _local is not None and track:
        _put(name, track, END, _now(), 0)


def mark(name: str, started_ns: int, ended_ns: int, track: int = THREAD) -> None:
    """A span whose instants are known, by `time.perf_counter_ns`. One that ends before it starts has no length."""
    if _local is not None and track:
        _put(name, track, SPAN, started_ns, ended_ns - started_ns)


def span(name: str, track: int = THREAD) -> Span | Nothing:
    """A context manager: its block is a span. It is written when the block ends, so spans of tasks that take turns on
    one thread do not mix."""
    if _local is None or not track:
        return _NOTHING
    return Span(name, track)


def track(label: str) -> int:
    """A number for one request, to be handed to the other functions. 0, which they all skip, if nothing records or if
    this request is not in the recording's share: the label and the seed decide, so a run of the same seed records the
    same ones. label: what the trace calls it, one row for one label whoever asks; 200 characters are kept."""
    session = _session
    return 0 if session is None else session.track(label)


class Span:
    """See `span`."""

    __slots__ = ("_name", "_started", "_track")

    def __init__(self, name: str, track: int) -> None:
        self._name = name
        self._track = track
        self._started = 0

    def __enter__(self) -> None:
        self._started = _now()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        started = self._started
        if _local is not None:
            _put(self._name, self._track, SPAN, started, _now() - started)


class Nothing:
    """A span that is not recorded."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


_NOTHING = Nothing()


def _put(name: str, track: int, kind: int, stamp: int, value: int) -> None:
    """`emit` for the other kinds; a span's value is its length."""
    try:
        ring: Ring = _local.ring  # type: ignore[union-attr]  # None if another thread just ended the recording
        what = _names[name] | kind
    except (AttributeError, KeyError):
        _first(name, track, kind, stamp, value, 0)
        return
    ring.at = at = ring.at + 32
    try:
        _write(ring.buffer, at, ring.mark, what, track, stamp, value, 0, ring.lap)
    except struct.error:
        _store_odd(ring, at, what, track, stamp, value, 0)


def _first(name: str, track: int, kind: int, stamp: int, value: int, kb: int) -> None:
    """A thread's first event, or a name's."""
    session, local = _session, _local
    if session is None or local is None:
        return
    if getattr(local, "ring", None) is None:
        lease = session.join()
        if lease is None:
            return
        local.lease, local.ring = lease, lease.ring
    what = session.number_of(name) | kind
    ring: Ring = local.ring
    ring.at = at = ring.at + 32
    _store_odd(ring, at, what, track, stamp, value, kb)


def _store_odd(ring: Ring, at: int, what: int, track: int, stamp: int, value: int, kb: int) -> None:
    """Where a plain write failed: the place lies behind a quarter's end, or a value is out of range. A value that is no
    integer raises TypeError and leaves a hole, which the reader counts as dropped."""
    while at >= ring.size:
        at = ring.turn()
    track, stamp = clamped(track, MAX_TRACK) or THREAD, clamped(stamp, MAX_U64)
    _write(ring.buffer, at, ring.mark, what, track, stamp, clamped(value, MAX_U64), clamped(kb, MAX_KB), ring.lap)
    if at == 0 and _session is not None:
        _session.wake()


def start(session: Session) -> None:
    """Events go to this session from now on."""
    global _session, _local, _names
    _session, _names, _local = session, session.names, threading.local()


def stop() -> None:
    """Events go nowhere from now on."""
    global _session, _local
    _session, _local = None, None


def active() -> Session | None:
    return _session


def _after_fork() -> None:
    session = _session
    stop()
    if session is not None:
        session.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
