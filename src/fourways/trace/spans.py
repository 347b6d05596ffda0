"""Spans out of records: begins are paired with ends, and spans that overlap without nesting are laid on lanes.

A *row* is what a trace draws as one line: a request (its track's number), or a thread (minus its owner's number).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourways.trace.record import BEGIN, END, KIND_MASK, NAME_MASK, SPAN, VALUE_SHIFT
from fourways.trace.ring import Records

SPAN_DTYPE = np.dtype([("row", "i8"), ("start", "u8"), ("end", "u8"), ("name", "u2"), ("open", "?")])
Spans = NDArray[np.void]


def rows(events: Records) -> NDArray[np.int64]:
    """The row of each record of a spool."""
    track = events["track"].astype(np.int64)
    return np.where(track > 0, track, -events["begin"].astype(np.int64))


def names(events: Records) -> NDArray[np.uint16]:
    return (events["word"] & np.uint64(NAME_MASK)).astype(np.uint16)


def kinds(events: Records) -> NDArray[np.uint16]:
    return (events["word"] & np.uint64(KIND_MASK)).astype(np.uint16)


def spans(events: Records) -> tuple[Spans, int]:
    """All spans, by row, then start, then the longest first; and how many ends had lost their begin. A begin without
    an end is a span that is open: its end is that of the last event."""
    kind = kinds(events)
    whole = events[kind == SPAN]
    halves = events[(kind == BEGIN) | (kind == END)]
    paired, unmatched = _paired(halves, _last_instant(events, whole))
    found = np.zeros(len(whole) + len(paired), SPAN_DTYPE)
    part = found[: len(whole)]
    part["row"], part["name"], part["start"] = rows(whole), names(whole), whole["timestamp_ns"]
    part["end"] = whole["timestamp_ns"] + (whole["word"] >> np.uint64(VALUE_SHIFT))
    found[len(whole) :] = paired
    longest_first = np.iinfo(np.uint64).max - found["end"]
    return found[np.lexsort((longest_first, found["start"], found["row"]))], unmatched


def lanes(found: Spans) -> NDArray[np.int32]:
    """A lane for each of `spans`' spans, from 0 in each row, so that within one lane spans nest or are apart."""
    out = np.zeros(len(found), np.int32)
    row, stacks = 0, list[list[int]]()
    for at, (its_row, start, end) in enumerate(
        zip(found["row"].tolist(), found["start"].tolist(), found["end"].tolist(), strict=True)
    ):
        if its_row != row:
            row, stacks = its_row, []
        out[at] = _lane(stacks, start, end)
    return out


def _lane(stacks: list[list[int]], start: int, end: int) -> int:
    """The first lane whose open spans are all over, or contain this one. A stack holds the ends of open spans."""
    for lane, stack in enumerate(stacks):
        while stack and stack[-1] <= start:
            stack.pop()
        if not stack or end <= stack[-1]:
            stack.append(end)
            return lane
    stacks.append([end])
    return len(stacks) - 1


def _paired(halves: Records, last: int) -> tuple[Spans, int]:
    """By row and name, in the order of time: an end closes what began last and is not closed yet."""
    keys = rows(halves)
    order = np.lexsort((halves["timestamp_ns"], names(halves), keys))
    begins = (kinds(halves) == BEGIN)[order].tolist()
    found: list[tuple[int, int, int, int, bool]] = []
    open_now: list[int] = []
    unmatched, group = 0, (0, -1)
    in_order = zip(
        keys[order].tolist(), names(halves)[order].tolist(), halves["timestamp_ns"][order].tolist(), begins, strict=True
    )
    for row, name, at, begins_here in in_order:
        if (row, name) != group:
            found.extend((group[0], start, max(last, start), group[1], True) for start in open_now)
            group, open_now = (row, name), []
        if begins_here:
            open_now.append(at)
        elif open_now:
            found.append((row, open_now.pop(), at, name, False))
        else:
            unmatched += 1
    found.extend((group[0], start, max(last, start), group[1], True) for start in open_now)
    return np.array(found, SPAN_DTYPE), unmatched


def _last_instant(events: Records, whole: Records) -> int:
    ends = whole["timestamp_ns"] + (whole["word"] >> np.uint64(VALUE_SHIFT))
    return max(int(events["timestamp_ns"].max(initial=0)), int(ends.max(initial=0)))
