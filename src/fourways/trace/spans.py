"""Spans out of records: begins are paired with ends, and spans that overlap without nesting are laid on lanes.

A *row* is what a trace draws as one line: a request (its track's number), or a thread (minus its owner's number).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fourways.trace.record import BEGIN, DTYPE, END, KIND_MASK, NAME_MASK, SPAN
from fourways.trace.ring import Records

SPAN_DTYPE = np.dtype([("row", "i4"), ("start", "u8"), ("end", "u8"), ("name", "u2"), ("open", "?")])
Spans = NDArray[np.void]
_SOME = 1 << 16


def rows(events: Records) -> NDArray[np.int64]:
    """The row of each record of a spool."""
    track = events["track"].astype(np.int64)
    return np.where(track > 0, track, -events["end"].astype(np.int64))


def names(events: Records) -> NDArray[np.uint16]:
    return np.asarray(events["what"] & np.uint16(NAME_MASK))


def kinds(events: Records) -> NDArray[np.uint16]:
    return np.asarray(events["what"] & np.uint16(KIND_MASK))


def spans(pieces: Iterable[Records]) -> tuple[Spans, int]:
    """All spans, by row, then start, then the longest first; and how many ends had lost their begin. A begin without
    an end is a span that is open: its end is that of the last event."""
    parts, halves, last = list[Spans](), [np.zeros(0, DTYPE)], 0
    for events in pieces:
        kind = kinds(events)
        parts.append(_whole(events[kind == SPAN]))
        halves.append(events[(kind == BEGIN) | (kind == END)])
        last = max(last, int(events["timestamp_ns"].max(initial=0)), int(parts[-1]["end"].max(initial=0)))
    paired, unmatched = _paired(np.concatenate(halves), last)
    found = np.concatenate([*parts, paired])
    parts.clear()
    longest_first = np.iinfo(np.uint64).max - found["end"]
    return found[np.lexsort((longest_first, found["start"], found["row"]))], unmatched


def lanes(found: Spans) -> NDArray[np.int32]:
    """A lane for each of `spans`' spans, from 0 in each row, so that within one lane spans nest or are apart."""
    out = np.zeros(len(found), np.int32)
    row, stacks = 0, list[list[int]]()
    for at, (its_row, start, end) in enumerate(_by_start(found)):
        if its_row != row:
            row, stacks = its_row, []
        out[at] = _lane(stacks, start, end)
    return out


def _by_start(found: Spans) -> Iterator[tuple[int, int, int]]:
    for at in range(0, len(found), _SOME):
        part = found[at : at + _SOME]
        yield from zip(part["row"].tolist(), part["start"].tolist(), part["end"].tolist(), strict=True)


def _whole(events: Records) -> Spans:
    """Of records that are a span each."""
    part = np.zeros(len(events), SPAN_DTYPE)
    part["row"], part["name"], part["start"] = rows(events), names(events), events["timestamp_ns"]
    started = events["timestamp_ns"]
    part["end"] = started + np.minimum(events["value"], ~started)  # ~: what is left until the clock's last instant
    return part


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
