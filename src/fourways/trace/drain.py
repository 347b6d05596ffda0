"""The reader's process: `python -m fourways.trace.drain LINE BELL FOLDER`, started by `recording`.

It empties the rings into the spool's files, and at the end makes trace.json of them. It ends when it is told to, or
when the program that records is gone; then it still reads what that program's rings hold, since they are its memory
too. It looks when a quarter of a ring is full (the bell), and every quarter of a second, at a low priority.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

from fourways.trace import shared
from fourways.trace.chrome import finish
from fourways.trace.messages import Counts, Dropped, Message, NewRing, Owner, Ready, Stopped, decode, encode
from fourways.trace.ring import Reader, Records, Slots
from fourways.trace.spool import SpoolWriter

LONGEST_S = 0.25
SHORTEST_S = 0.001
_LINE_BYTES = 1 << 18


class Tail:
    """One ring as the reader knows it: where it stands, and who wrote what."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._firsts: list[int] = []
        self._owners: list[int] = []
        self._dropped = 0

    def owned(self, owner: Owner) -> None:
        self._firsts.append(owner.first)
        self._owners.append(owner.number)

    def by_owner(self, first: int, records: Records) -> list[tuple[int, Records]]:
        """(owner, records) of each owner's part."""
        cuts = [place - first for place in self._firsts if first < place < first + len(records)]
        edges = [0, *cuts, len(records)]
        return [(self._owner(first + low), records[low:high]) for low, high in itertools.pairwise(edges) if high > low]

    def newly_dropped(self) -> tuple[int, int] | None:
        """(owner, count) of what was dropped since the last call, put down to the last of several owners."""
        count = self.reader.dropped - self._dropped
        self._dropped = self.reader.dropped
        return (self._owner(self.reader.next - 1), count) if count else None

    def _owner(self, place: int) -> int:
        at = bisect.bisect_right(self._firsts, place) - 1
        return self._owners[at] if at >= 0 else 0


class Drain:
    def __init__(self, line: socket.socket, bell: socket.socket, spool: SpoolWriter) -> None:
        self._line = line
        self._bell = bell
        self._spool = spool
        self._tails: dict[int, Tail] = {}
        self._parent = os.getppid()
        self._gone = False
        self.stopped: Stopped | None = None

    def run(self) -> None:
        """Until the program ends its recording, or ends itself."""
        while self.stopped is None and not self._gone and os.getppid() == self._parent:
            select.select([self._bell], [], [], LONGEST_S)
            self._silence()
            self.listen()
            self.sweep()
            time.sleep(SHORTEST_S)
        self._last()
        self._spool.close()

    def _silence(self) -> None:
        """The bell may have been rung several times; once is enough."""
        with contextlib.suppress(BlockingIOError):
            while self._bell.recv(64):
                pass

    def listen(self) -> None:
        """Take in all that was told so far."""
        while self.stopped is None:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._line, _LINE_BYTES, 4)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._gone = True
                return
            self._take(decode(data), descriptors)

    def sweep(self) -> None:
        """Read every ring."""
        found = {number: tail.reader.poll() for number, tail in self._tails.items()}
        self.listen()  # whose records they are was told before they were written
        for number, pieces in found.items():
            self._keep(self._tails[number], pieces)

    def _last(self) -> None:
        written = self.stopped.written if self.stopped is not None else {}
        for number, tail in self._tails.items():
            while pieces := tail.reader.poll():
                self._keep(tail, pieces)
            self._keep(tail, tail.reader.finish(written.get(number, 0)))

    def _keep(self, tail: Tail, pieces: list[tuple[int, Records]]) -> None:
        for first, records in pieces:
            for owner, part in tail.by_owner(first, records):
                self._spool.put(owner, part)
        lost = tail.newly_dropped()
        if lost is not None:
            self._spool.note(Dropped(*lost))
        if pieces or lost is not None:
            self._spool.flush()

    def _take(self, message: Message, descriptors: list[int]) -> None:
        match message:
            case NewRing():
                memory = shared.mapped(descriptors[0], message.bytes)
                self._tails[message.ring] = Tail(Reader(Slots(memory)))
            case Owner():
                self._tails[message.ring].owned(message)
                self._spool.note(message)
            case Stopped():
                self.stopped = message
                self._spool.note(message)
            case _:
                self._spool.note(message)
        for descriptor in descriptors:
            os.close(descriptor)


def main(line: int, bell: int, folder: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the program: when it has ended, so does this
    with contextlib.suppress(OSError):
        os.nice(5)
    connection, ringing = socket.socket(fileno=line), socket.socket(fileno=bell)
    connection.setblocking(False)
    ringing.setblocking(False)
    spool = SpoolWriter(folder)
    connection.send(encode(Ready()))
    Drain(connection, ringing, spool).run()
    events, dropped = finish(folder)
    with contextlib.suppress(OSError):
        connection.send(encode(Counts(events, dropped)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
