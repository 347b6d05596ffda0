"""What a request to a server waited for, as its client saw it: spans on the request's row in the trace.

    prepare        pictures encoded, the body made, a place among the requests in flight found
    first_byte     sent, until the head of the reply was read (again for each attempt)
    first_content  until the first text, or the end where none came
    content        until the last event of the stream

Behind first_byte lie the network and everything that the server did; what it did, it alone could tell: no access.
"""

from __future__ import annotations

import time
from typing import Literal

from fourways import trace
from fourways.core.events import Done, Event

Wait = Literal["prepare", "first_byte", "first_content", "content"]


class Waits:
    """label: of the row. recorded: whether there is one; what is not recorded costs a look at that."""

    __slots__ = ("_at", "_began", "_track", "recorded")

    def __init__(self, label: str) -> None:
        self._track = trace.track(label)
        self.recorded = self._track != 0
        self._at = time.perf_counter_ns() if self.recorded else 0
        self._began = False

    def until(self, what: Wait) -> None:
        """It waited for this since the last."""
        if self.recorded:
            self._mark(what, time.perf_counter_ns())

    def item(self, item: Event | Done) -> None:
        """Something came."""
        if not self._began:
            self._began = True
            self._mark("first_content", item.time_ns)
        elif isinstance(item, Done):
            self._mark("content", item.time_ns)

    def _mark(self, what: Wait, now_ns: int) -> None:
        trace.mark(what, self._at, now_ns, self._track)
        self._at = now_ns
