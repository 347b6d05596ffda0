"""Requests encoded before they are due, so that a large picture delays neither its own dispatch nor another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from fourways.core.request import Request

MOST = 32
MOST_BYTES = 64 << 20
"""How far ahead, in requests and in bytes of their media: whichever is reached first."""


@runtime_checkable
class EncodesAhead(Protocol):
    """An engine whose client side turns requests into bytes."""

    def encode_ahead(self, request: Request) -> Request:
        """The same request, with what of that can be done already; from any thread."""


class Ahead:
    """Within its context a thread encodes `requests` (place → request, in order), at most so far ahead of the last one
    taken. The context begins when it is that far."""

    def __init__(self, engine: EncodesAhead, requests: Mapping[int, Request]) -> None:
        self._engine, self._requests = engine, requests
        self._made: dict[int, tuple[Request, int]] = {}
        self._made_bytes, self._taken, self._stopped = 0, -1, False
        self._changed = threading.Condition()
        self._full = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-ahead", daemon=True)

    async def __aenter__(self) -> Self:
        if self._requests:
            self._thread.start()
            try:
                await asyncio.to_thread(self._full.wait)
            except BaseException:
                self._stop()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stop()

    def take(self, index: int) -> Request | None:
        """What was made of the request at that place, None if its turn had not come. Places are taken in order."""
        with self._changed:
            self._taken = index
            made, size = self._made.pop(index, (None, 0))
            self._made_bytes -= size
            self._changed.notify()
        return made

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._full.set()

    def _run(self) -> None:
        try:
            for index, request in self._requests.items():
                if not self._encode(index, request):
                    return
        finally:
            self._full.set()

    def _encode(self, index: int, request: Request) -> bool:
        """Encodes one request when there is room for it. False: no more are wanted."""
        try:
            size = sum(len(visual.source) for visual in request.conversation.visuals)
            if not self._wait_for_room(size):
                return False
            if index <= self._taken:
                return True
            made = self._engine.encode_ahead(request)
        except Exception:  # the engine will say so when it is asked
            return True
        with self._changed:
            if index > self._taken:
                self._made[index] = made, size
                self._made_bytes += size
        return True

    def _wait_for_room(self, size: int) -> bool:
        """Whether to go on."""
        with self._changed:
            while not self._stopped and self._made and not self._has_room(size):
                self._full.set()
                self._changed.wait()
            return not self._stopped

    def _has_room(self, size: int) -> bool:
        return len(self._made) < MOST and self._made_bytes + size <= MOST_BYTES
