"""Wake the event loop at an instant, in nanoseconds: asyncio's own timers wake up to a millisecond late on Linux,
because epoll counts in milliseconds."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1


class Alarm(Protocol):
    """Calls back at or soon after the instant last set. Instants are `time.perf_counter_ns()`."""

    def set(self, at_ns: int | None) -> None:
        """None: no more."""

    def close(self) -> None: ...


class LoopAlarm:
    """By the event loop's own timer, for systems without the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at_ns: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = None if at_ns is None else (at_ns - time.perf_counter_ns()) / 1e9
        self._timer = None if wait_s is None else self._loop.call_later(max(0.0, wait_s), self._ring)

    def close(self) -> None:
        self.set(None)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerfdAlarm:
    """By a timer of the kernel that the loop watches like a socket (timerfd_create(2); CLOCK_MONOTONIC is the clock of
    `time.perf_counter_ns` on Linux). Raises OSError where there is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._create, self._settime = libc.timerfd_create, libc.timerfd_settime
        self._fd: int = self._create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop, self._ring, self._spec = loop, ring, _Itimerspec()
        loop.add_reader(self._fd, self._rung)

    def set(self, at_ns: int | None) -> None:
        # Setting a timer also takes back that it has rung. An instant of 0 would disarm it.
        seconds, nanoseconds = (0, 0) if at_ns is None else divmod(max(1, at_ns), 1_000_000_000)
        self._spec.value.seconds, self._spec.value.nanoseconds = seconds, nanoseconds
        self._settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(self._spec), None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _rung(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # it was set anew between the wake and now
            return
        self._ring()


def best_alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """The more exact of the two that this system has."""
    if sys.platform == "linux":
        try:
            return TimerfdAlarm(loop, ring)
        except (OSError, AttributeError):
            pass
    return LoopAlarm(loop, ring)
