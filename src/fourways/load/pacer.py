"""Calls at given instants, from a thread that does nothing but sleep until the next one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self


class Pacer:
    """Within its context, `call(i)` runs in the event loop as soon as it can after `due_ns[i]` (`perf_counter_ns`, in
    order); leaving it ends the thread, and calls that were not due yet never come.

    A thread, because event loops sleep in whole milliseconds (epoll's unit), rounded up, and because a loop that spins
    instead would spend a processor on waiting.
    """

    def __init__(self, due_ns: Sequence[int], call: Callable[[int], None]) -> None:
        self._due_ns, self._call = due_ns, call
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-pacer", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        for index, due_ns in enumerate(self._due_ns):
            wait_s = (due_ns - time.perf_counter_ns()) / 1e9
            if self._stop.is_set() or (wait_s > 0 and self._stop.wait(wait_s)):
                return
            self._loop.call_soon_threadsafe(self._made, index)

    def _made(self, index: int) -> None:
        if not self._stop.is_set():
            self._call(index)
