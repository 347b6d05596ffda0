"""One event as it lies in memory: 32 bytes, all integers, nothing to decode but two table look-ups.

    offset  field          range
    0       begin   u16    `mark` of the lap of the ring that wrote it; 0 while it is being written
    2       what    u16    bits 0-13 the name's number, 14-15 the kind
    4       track   i32    -1: the thread's own row; from 1: a request's
    8       timestamp_ns   u64, `time.perf_counter_ns()` of the writer
    16      value   u64    `tensor_alloc_bytes`; of a span its nanoseconds
    24      mem_reserved_peak_kb   u32, KiB
    28      end     u32    the lap (the first: 1); 0 while it is being written

So the reserved peak reaches 4 TiB, and 16,383 names and 2,147,483,647 requests have room in one recording. A value
above its range stands as the largest, one below 0 as 0: it saturates, and never wraps. 0 bytes or KiB mean "not given".

`begin` is stored first and `end` last: see `ring` for what a reader makes of that.
"""

from __future__ import annotations

import struct

import numpy as np

RECORD = struct.Struct("@HHiQQII")
"""Native order and alignment: CPython then stores each field by one aligned move, in this order, after clearing all."""
RECORD_BYTES = 32
DTYPE = np.dtype(
    [
        ("begin", "u2"), ("what", "u2"), ("track", "i4"), ("timestamp_ns", "u8"), ("value", "u8"),
        ("mem_reserved_peak_kb", "u4"), ("end", "u4"),
    ]
)  # fmt: skip

INSTANT, BEGIN, END, SPAN = 0, 1 << 14, 2 << 14, 3 << 14
"""The kinds, as they stand in `what`. A span is one record that was written when it ended."""

NAME_MASK = (1 << 14) - 1
KIND_MASK = 3 << 14

MAX_NAMES = NAME_MASK
MAX_TRACK = (1 << 31) - 1
MAX_KB = (1 << 32) - 1
MAX_U64 = (1 << 64) - 1

THREAD = -1
"""The track of events that belong to no request: the row of the thread that wrote them."""


def clamped(value: int, highest: int) -> int:
    """The value within 0 and `highest`. Raises TypeError if it is no integer."""
    if not hasattr(value, "__index__"):
        raise TypeError(f"an event's numbers are integers, not {type(value).__name__}")
    return min(max(int(value), 0), highest)


def mark(lap: int) -> int:
    """A lap as `begin` holds it: from 1 to 65,535, never 0, over and over. A reader that could take one lap for
    another would have to sleep for 65,535 laps in the middle of a copy, and `end` would tell it even then."""
    return (lap - 1) % 0xFFFF + 1
