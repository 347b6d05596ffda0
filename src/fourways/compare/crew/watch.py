"""Ends a worker that lives but gets nowhere: a device or a file system that never answers kills nobody by itself.

Contract: the process ends only if something is in its hands and no step has been made for the whole limit. What a death
costs is the foreman's to count, as of any other.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_S = 2 * 3600.0
"""Without one answer among all that is in hand, or without the candidate being opened. Large models on a CPU take
minutes an answer; hours without any is no honest work."""
EXIT_CODE = 75
_LOOKS = 100
"""At the clock, within the limit."""


class Watch:
    """Over this whole process. limit_s: seconds of CLOCK_MONOTONIC, so a machine that sleeps is not blamed."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._in_hand = 0
        self._moved = time.monotonic()
        threading.Thread(target=self._look, daemon=True).start()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Something is in hand while the context lasts."""
        self.step()
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1
            self.step()

    def step(self) -> None:
        """Something has come of the work."""
        self._moved = time.monotonic()

    def _look(self) -> None:
        while True:
            time.sleep(self._limit_s / _LOOKS)
            if self._in_hand and time.monotonic() - self._moved > self._limit_s:
                print(f"nothing came of its work for {self._limit_s / 60:.0f} minutes", file=sys.stderr, flush=True)
                os._exit(EXIT_CODE)
