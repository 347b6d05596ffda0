"""Long readings of files in threads, which end when the person gives up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class StoppedError(Exception):
    """The person gave up."""


class Reading:
    """say: progress, from any thread."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stopped = threading.Event()

    def at(self, what: str) -> None:
        """Begins something. Raises StoppedError."""
        self.step()
        self._say(what)

    def step(self, count: int = 0) -> None:
        """To be called often; count: bytes, for those who count. Raises StoppedError."""
        if self._stopped.is_set():
            raise StoppedError

    def stop(self) -> None:
        self._stopped.set()


async def in_thread(work: Callable[[Reading], T], say: Callable[[str], None]) -> T:
    """What the work returns. A thread cannot be ended from outside, and the event loop waits for it: so Ctrl-C has to
    reach the work itself."""
    reading = Reading(say)
    try:
        return await asyncio.to_thread(work, reading)
    except asyncio.CancelledError:
        reading.stop()
        raise
