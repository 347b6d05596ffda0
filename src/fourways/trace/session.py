"""The writer's side of a recording: its rings, names and tracks, and the line to the reader."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import threading
from collections import deque

from fourways.trace import shared
from fourways.trace.messages import Message, Name, NewRing, Owner, Track, encode
from fourways.trace.record import MAX_NAMES, MAX_TRACK
from fourways.trace.ring import Ring

RING_BYTES = 1 << 21
"""65,536 records for each thread that is busy at once; pages that no record has reached yet take no room."""
MAX_RINGS = 1024
MORE_NAMES = 0
"""The number of every name beyond `MAX_NAMES`."""
LABEL = 200
MESSAGES_A_BELL = 64
"""So often is the bell rung for messages: a line holds some 270 on Linux."""


class Lease:
    """A thread's hold on a ring; when the thread ends, so does this, and the ring is free."""

    __slots__ = ("_free", "ring")

    def __init__(self, ring: Ring, free: deque[Ring]) -> None:
        self.ring = ring
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.ring)


class Session:
    """No lock: numbers come from counters and rings from a deque, both safe between threads, so an event from a
    signal's handler in the middle of any method here finds all in order."""

    def __init__(self, line: socket.socket, bell: socket.socket, *, share: float, seed: int, ring_bytes: int) -> None:
        self.line = line
        self._bell = bell
        self.rings: list[Ring] = []
        self.reader_lost = False
        self._free: deque[Ring] = deque()
        self.names: dict[str, int] = {}
        self._name_numbers = itertools.count(1)
        self._ring_numbers = itertools.count(0)
        self._owners = itertools.count(1)
        self._tracks: dict[str, int] = {}
        self._track_numbers = itertools.count(1)
        self._refused = itertools.count(0)
        self._sent = itertools.count(1)
        self._unsent: deque[bytes] = deque()
        self._ring_bytes = ring_bytes
        self._bar = int(share * 2**64)
        self._seed = seed

    def join(self) -> Lease | None:
        """A ring for the calling thread; None, counted, if the reader could not be told or there are too many."""
        ring = self._free_ring() or self._new_ring()
        if ring is not None:
            lease = Lease(ring, self._free)
            thread = threading.current_thread()
            number, name = next(self._owners), _sendable(thread.name)
            if self._tell_now(Owner(number, ring.number, ring.written, name, thread.native_id or 0)):
                return lease
        next(self._refused)
        return None

    def number_of(self, name: str) -> int:
        """The number that stands for a name in records. Raises TypeError if it is no text."""
        known = self.names.get(name)
        if known is not None:
            return known
        if not isinstance(name, str):
            raise TypeError(f"an event's name is text, not {type(name).__name__}")
        if len(self.names) >= MAX_NAMES:
            return MORE_NAMES
        number = next(self._name_numbers)
        if number > MAX_NAMES:
            return MORE_NAMES
        kept = self.names.setdefault(name, number)
        if kept == number:
            self.tell(Name(number, _sendable(name)))
        return kept

    def track(self, label: str) -> int:
        known = self._tracks.get(label)
        if known is not None:
            return known
        if not self._sampled(label):
            return 0
        number = next(self._track_numbers)
        if number > MAX_TRACK:
            return 0
        kept = self._tracks.setdefault(label, number)
        if kept == number:
            self.tell(Track(number, _sendable(label)))
        return kept

    def tell(self, message: Message) -> None:
        """The reader learns this sooner or later: what it cannot take now is kept for the next time."""
        self._unsent.append(encode(message))
        self.flush()

    def wake(self) -> None:
        """The reader should look now. A message alone does not wake it: that would cost more than the message."""
        with contextlib.suppress(OSError):  # full: it is on its way; closed: it is gone
            self._bell.send(b"!")

    def flush(self) -> bool:
        """Whether the reader has been told everything."""
        while self._unsent:
            try:
                data = self._unsent.popleft()
            except IndexError:  # another thread was faster
                break
            if not self._send(data):
                self._unsent.appendleft(data)
                return False
        return True

    def refused(self) -> int:
        """Events of threads that got no ring. To be asked once, at the end."""
        return next(self._refused)

    def abandon(self) -> None:
        """In a forked child: line and bell are the parent's."""
        self.line.close()
        self._bell.close()

    def _sampled(self, label: str) -> bool:
        if self._bar >= 2**64:
            return True
        digest = hashlib.blake2b(f"{self._seed}:{label}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._bar

    def _free_ring(self) -> Ring | None:
        try:
            return self._free.pop()
        except IndexError:
            return None

    def _new_ring(self) -> Ring | None:
        if len(self.rings) >= MAX_RINGS or self.reader_lost:
            return None
        number = next(self._ring_numbers)
        try:
            descriptor = shared.create(self._ring_bytes)
        except OSError:
            return None
        try:
            ring = Ring(number, shared.mapped(descriptor, self._ring_bytes))
            socket.send_fds(self.line, [encode(NewRing(number, self._ring_bytes))], [descriptor])
        except OSError:
            return None
        finally:
            os.close(descriptor)
        self.rings.append(ring)
        return ring

    def _tell_now(self, message: Message) -> bool:
        return self._send(encode(message))

    def _send(self, data: bytes) -> bool:
        """False if the reader's line is full. A reader that is gone takes everything."""
        if self.reader_lost:
            return True
        try:
            self.line.send(data)
        except BlockingIOError:
            return False
        except OSError:
            self.reader_lost = True
        if next(self._sent) % MESSAGES_A_BELL == 0:
            self.wake()
        return True


def _sendable(text: str) -> str:
    """As much of it as is kept; what no file can hold (half a surrogate pair, of a file's name) becomes `?`."""
    return text[:LABEL].encode(errors="replace").decode()
