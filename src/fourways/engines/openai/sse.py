"""Server-sent events out of a stream of bytes (WHATWG HTML, 9.2.6), each with the instant at which it was complete."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

MAX_EVENT_BYTES = 4 << 20


class EventTooLarge(Exception):
    """The server sent more than MAX_EVENT_BYTES without ending an event."""


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, int]]:
    """(data, `time.perf_counter_ns()` when its last byte was read) of each event. Comments and other fields are left
    out. An event that the stream's end cuts off is dropped, as the specification wants."""
    rest = b""
    data: list[bytes] = []
    async for chunk in chunks:
        now = time.perf_counter_ns()
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        if len(rest) + sum(len(line) for line in data) > MAX_EVENT_BYTES:
            raise EventTooLarge
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data), now
                data = []
