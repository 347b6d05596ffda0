"""A slow reader of one program's rings, in a process of its own: checks every record it gets, and counts.

    python trace_reader.py LINE PAUSE_S

Record n of a thread carries n in every field, so a torn one shows; its place says what is missing. Ends when the
program says how much it wrote, and answers with one JSON line.
"""

from __future__ import annotations

import json
import socket
import sys
import time

import numpy as np

from fourways.trace import shared
from fourways.trace.messages import NewRing, Stopped, decode
from fourways.trace.record import DTYPE
from fourways.trace.ring import Reader, Records, Slots


def torn(first: int, records: Records) -> int:
    """How many of the records, which stand from place `first` on, are not wholly their own."""
    numbers = np.arange(first, first + len(records), dtype=np.uint64)
    whole = (records["track"] == (numbers & np.uint64(0xFFFFFF)) + np.uint64(1)).astype(bool)
    whole &= records["value"] == numbers
    whole &= records["mem_reserved_peak_kb"] == (numbers & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    stamps = records["timestamp_ns"]
    whole[1:] &= stamps[1:] >= stamps[:-1]
    return int(np.count_nonzero(~whole))


def main(line: int, pause_s: float) -> None:
    connection = socket.socket(fileno=line)
    connection.setblocking(False)
    readers: dict[int, Reader] = {}
    total = {"read": 0, "torn": 0, "out_of_order": 0}
    last = dict[int, int]()
    written: dict[int, int] | None = None
    while written is None:
        try:
            data, descriptors, _, _ = socket.recv_fds(connection, 1 << 18, 1)
            if data == b"!":  # the bell, which would wake a reader that is not slow
                continue
            message = decode(data)
            if isinstance(message, NewRing):
                readers[message.ring] = Reader(Slots(shared.mapped(descriptors[0], message.bytes)))
            if isinstance(message, Stopped):
                written = message.written
            continue
        except BlockingIOError:
            pass
        for number, reader in readers.items():
            _check(total, last, number, reader.poll())
        time.sleep(pause_s)
    for number, reader in readers.items():
        _check(total, last, number, reader.finish(written[number]))
    total["dropped"] = sum(reader.dropped for reader in readers.values())
    connection.setblocking(True)
    connection.send(json.dumps(total).encode())


def _check(total: dict[str, int], last: dict[int, int], ring: int, pieces: list[tuple[int, np.ndarray]]) -> None:
    for first, records in pieces:
        total["read"] += len(records)
        total["torn"] += torn(first, records)
        total["out_of_order"] += first <= last.get(ring, -1)
        last[ring] = first + len(records) - 1


if __name__ == "__main__":
    assert DTYPE.itemsize == 32
    main(int(sys.argv[1]), float(sys.argv[2]))
