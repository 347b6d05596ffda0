"""Resident size of this process and its peak, from the kernel where it allows, else by sampling."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Literal

import psutil

Method = Literal["kernel high-water mark", "sampled every 2 ms"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_SAMPLE_S = 0.002


def resident_bytes() -> int:
    """Resident set size of this process now, in bytes."""
    return int(psutil.Process().memory_info().rss)


class PeakResident:
    """The highest resident size since `reset`, in bytes; `method` says how it is known.

    Linux keeps a high-water mark (VmHWM in proc(5)) which writing 5 to /proc/self/clear_refs sets back: exact. Where
    that is refused, a thread samples, and a shorter peak can be missed. Use as a context manager.
    """

    def __init__(self) -> None:
        self.method: Method = "kernel high-water mark" if _reset_mark() else "sampled every 2 ms"
        self._highest = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="resident-size", daemon=True)

    def __enter__(self) -> PeakResident:
        self.reset()
        if self.method != "kernel high-water mark":
            self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._sampler.is_alive():
            self._sampler.join()

    def reset(self) -> None:
        """The peak starts again from the size now."""
        with self._lock:
            if self.method == "kernel high-water mark":
                _reset_mark()
            self._highest = resident_bytes()

    def peak(self) -> int:
        with self._lock:
            seen = _mark() if self.method == "kernel high-water mark" else resident_bytes()
            self._highest = max(self._highest, seen)
            return self._highest

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            with self._lock:  # a size read before a reset may not be kept after it
                self._highest = max(self._highest, resident_bytes())


def _reset_mark() -> bool:
    try:
        _CLEAR.write_text("5")
        return _mark() > 0
    except (OSError, ValueError):
        return False


def _mark() -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError("the kernel does not report VmHWM")
    return int(found[1]) * 1024
