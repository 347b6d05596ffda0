"""Server-sent events out of pieces of a stream (WHATWG HTML, 9.2.6)."""

from __future__ import annotations

MAX_EVENT_BYTES = 4 << 20


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """The server sent more than MAX_EVENT_BYTES without ending an event."""


class EventSplitter:
    """Pieces in, the data of each event out as soon as it is whole. Comments and other fields are left out. An event
    that the stream's end cuts off is dropped, as the specification wants."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._data: list[bytes] = []
        self._begun_bytes = self._data_bytes = 0
        self._at_start = True

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that this piece ended. Raises EventTooLarge."""
        if not self._begun and not self._data and _is_one_event(piece):
            self._at_start = False
            return [piece[6:-2]]
        self._begun.append(piece)
        self._begun_bytes += len(piece)
        events = self._lines() if b"\n" in piece else []
        if self._begun_bytes + self._data_bytes > MAX_EVENT_BYTES:
            raise EventTooLarge
        return events

    def _lines(self) -> list[bytes]:
        """The events that were ended by the lines that are whole now."""
        text = b"".join(self._begun)
        if self._at_start:
            text, self._at_start = text.removeprefix(_BYTE_ORDER_MARK), False
        *lines, rest = text.split(b"\n")
        self._begun, self._begun_bytes = [rest] if rest else [], len(rest)
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._data_bytes += len(line)
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
        return events


def _is_one_event(piece: bytes) -> bool:
    """What servers send nearly always: one line of data in a piece of its own."""
    return piece.startswith(b"data: ") and piece.endswith(b"\n\n") and piece.count(b"\n") == 2 and b"\r" not in piece
