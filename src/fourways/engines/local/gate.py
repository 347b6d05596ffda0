"""How many requests may be inside at once; the rest wait outside, in order, holding nothing but themselves."""

from __future__ import annotations

import asyncio
import threading
from collections import deque


class Gate:
    """A first-come-first-served semaphore that works across event loops and threads."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()

    async def enter(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, turn))
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                waits = (loop, turn) in self._waiting
                if waits:
                    self._waiting.remove((loop, turn))
            if not waits:
                self.leave()
            raise

    def leave(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                loop, turn = self._waiting.popleft()
            try:
                loop.call_soon_threadsafe(_open, turn)
            except RuntimeError:
                continue  # that event loop is closed: the next one's turn
            return


def _open(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
