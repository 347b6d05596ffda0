"""A ring of records in shared memory: one thread writes, one other process reads, nobody waits for anybody.

Contract. The writer reserves a place (its own counter, no store that anyone else sees), then stores the record: `begin`
first, `end` last, both for the lap. No lock, no head index: what is there is told by the records themselves.
The reader looks at `end`, copies the record, then looks at `begin` and at `end` again; only if all three are the lap it
expects was the copy not disturbed. Both marks are needed: clearing a record is one `memset`, whose order nobody
promises, and whichever half it clears first holds one of them. A record that fails is counted as dropped, never
guessed; so each record is read once, in order, or counted.

This holds where stores and loads keep their order (x86-64). Elsewhere both sides put a fence between the steps: a lock
taken and given back, which orders memory on every machine that Python runs on. Slower by some 200 ns an event, and not
tried on such a machine by its authors.

A place that was reserved and never written (an exception from a signal's handler came in between) is a hole: the
reader passes over it once it was found unwritten twice, with later ones written, and counts it as dropped.
"""

from __future__ import annotations

import mmap
import platform
import struct
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fourways.trace.record import DTYPE, RECORD, RECORD_BYTES, mark

Records = NDArray[np.void]
Marks = NDArray[np.uint16] | NDArray[np.uint32]

KEEPS_ORDER = platform.machine().lower() in {"x86_64", "amd64", "i686", "i386"}
"""Whether this machine shows stores to other processors in the order in which they were made."""

QUARTERS = 4
_MARK = struct.Struct("@I")
_END = RECORD_BYTES - _MARK.size
_order = threading.local()


def fence() -> None:
    """Orders this thread's loads and stores before it against those after it, on any machine."""
    try:
        lock: threading.Lock = _order.lock
    except AttributeError:
        lock = _order.lock = threading.Lock()
    lock.acquire()
    lock.release()


def write_fenced(
    buffer: memoryview, at: int, begin: int, what: int, track: int, timestamp_ns: int, value: int, kb: int, end: int
) -> None:
    """As `RECORD.pack_into`, for machines that do not keep the order of stores."""
    _MARK.pack_into(buffer, at + _END, 0)
    fence()
    RECORD.pack_into(buffer, at, begin, what, track, timestamp_ns, value, kb, 0)
    fence()
    _MARK.pack_into(buffer, at + _END, end)


write: Callable[[memoryview, int, int, int, int, int, int, int, int], None]
write = RECORD.pack_into if KEEPS_ORDER else write_fenced


class Ring:
    """The writer's side, a quarter at a time: a plain write fails at a quarter's end, which costs the writer nothing
    until then and is the moment to wake the reader.

    buffer: the quarter under way. at: byte offset in it of the record that was reserved last. lap: of the ring. mark:
    the lap as `begin` holds it.
    """

    __slots__ = ("_quarter", "_quarters", "at", "buffer", "lap", "mark", "number", "size")

    def __init__(self, number: int, memory: mmap.mmap) -> None:
        whole = memoryview(memory)
        size = len(whole)
        if size < QUARTERS * RECORD_BYTES or size & (size - 1):
            raise ValueError(f"a ring is a power of two of at least {QUARTERS * RECORD_BYTES} bytes, not {size}")
        self.number = number
        self.size = size // QUARTERS
        self._quarters = [whole[at : at + self.size] for at in range(0, size, self.size)]
        self._quarter = 0
        self.buffer = self._quarters[0]
        self.at = -RECORD_BYTES
        self.lap = self.mark = 1

    def turn(self) -> int:
        """Reserve again, where the place that was reserved lies behind the quarter's end. Calls nothing, so nothing
        comes in between."""
        at = self.at + RECORD_BYTES if self.at < self.size else 0
        if at == 0:
            self._quarter = (self._quarter + 1) % QUARTERS
            self.buffer = self._quarters[self._quarter]
            if self._quarter == 0:
                self.lap += 1
                self.mark = mark(self.lap)
        self.at = at
        return at

    @property
    def written(self) -> int:
        """Records that were reserved so far."""
        quarters = (self.lap - 1) * QUARTERS + self._quarter
        return (quarters * self.size + min(self.at + RECORD_BYTES, self.size)) // RECORD_BYTES


class Slots:
    """What a reader sees of a ring. Each method is one look at shared memory, finished before it returns."""

    def __init__(self, buffer: mmap.mmap | bytearray) -> None:
        self._records: Records = np.frombuffer(buffer, DTYPE)
        self.count = len(self._records)

    def begins(self, first: int, last: int) -> Marks:
        return np.array(self._records["begin"][first:last])

    def ends(self, first: int, last: int) -> Marks:
        return np.array(self._records["end"][first:last])

    def copy(self, first: int, last: int) -> Records:
        return np.array(self._records[first:last])


class Reader:
    """Reads one ring. next: the number, from 0, of the record that it will read next; dropped: how many it never will
    among those before it."""

    def __init__(self, slots: Slots, *, keeps_order: bool = KEEPS_ORDER) -> None:
        self._slots = slots
        self._count = slots.count
        self._between = _nothing if keeps_order else fence
        self._hole = -1
        self.next = 0
        self.dropped = 0

    def poll(self) -> list[tuple[int, Records]]:
        """What was written since the last call, at most about one ring of it: (number of the first, records) of each
        unbroken piece, in order."""
        pieces: list[tuple[int, Records]] = []
        window, budget = 128, self._count  # a first look stays within one page: pages beyond were perhaps never touched
        while budget > 0:
            ready = self._ready(min(window, budget))
            if ready == 0 and not self._moved_on(min(window, budget)):
                break
            if ready:
                pieces.extend(self._take(ready))
                budget -= ready
            window = min(2 * window, 8192)
        return pieces

    def finish(self, written: int) -> list[tuple[int, Records]]:
        """The rest, when the writer has stopped after `written` records: what cannot be read is counted as dropped."""
        pieces: list[tuple[int, Records]] = []
        while self.next < written:
            before = self.next
            pieces.extend(self.poll())
            if self.next == before:
                self._skip(before + 1)
        return pieces

    def _place(self) -> tuple[int, int]:
        """The slot of the next record, and its lap."""
        return self.next % self._count, self.next // self._count + 1

    def _ready(self, window: int) -> int:
        """How many records from the next one on are whole, within this lap and `window`."""
        slot, lap = self._place()
        ends = self._slots.ends(slot, min(slot + window, self._count))
        whole = ends == lap
        return len(whole) if whole.all() else int(whole.argmin())

    def _take(self, ready: int) -> list[tuple[int, Records]]:
        slot, lap = self._place()
        self._between()
        copied = self._slots.copy(slot, slot + ready)
        self._between()
        begins = self._slots.begins(slot, slot + ready)
        ends = self._slots.ends(slot, slot + ready)
        good = (begins == mark(lap)) & (ends == lap)
        first = self.next
        self.next += ready
        if good.all():
            return [(first, copied)]
        self.dropped += int(ready - np.count_nonzero(good))
        return [(first + int(run[0]), copied[run[0] : run[-1] + 1]) for run in _runs(good)]

    def _moved_on(self, window: int) -> bool:
        """Where the next record is not there: whether it never will be, because the writer lapped us or left a hole."""
        slot, lap = self._place()
        ends = self._slots.ends(slot, min(slot + window, self._count))
        if ends[0] > lap:
            self._catch_up()
            return True
        if ends[0] == lap:
            return True  # it came since
        if not (ends[1:] == lap).any():
            return False
        if self._hole != self.next:
            self._hole = self.next
            return False
        self._skip(self.next + 1)
        return True

    def _catch_up(self) -> None:
        """Go on a quarter of a ring ahead of the oldest record left: nearer, the writer would be there first."""
        ends = self._slots.ends(0, self._count).astype(np.int64)
        numbers = (ends - 1) * self._count + np.arange(self._count)
        head = int(numbers[ends > 0].max(initial=self.next)) + 1
        self._skip(max(self.next + 1, head - self._count + self._count // 4))

    def _skip(self, to: int) -> None:
        self.dropped += to - self.next
        self.next = to


def _runs(good: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The indices of each unbroken run of true values."""
    indices = np.flatnonzero(good)
    if not len(indices):
        return []
    return np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1)


def _nothing() -> None:
    pass
