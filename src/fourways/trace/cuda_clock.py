"""A CUDA device's clock beside the host's: by events anywhere, by CUPTI (torch.profiler) for kernels.

*Events.* An event recorded on an idle stream is stamped between the host's readings before its record and after a query
finds it done. Times between events come as float32 milliseconds, so an anchor holds for `ANCHOR_S` seconds: each later
one is fixed by a chain of such pieces. Error: launch and poll, microseconds.

*CUPTI.* The profiler gives kernels in the host's wall clock, which is not monotonic; it is laid on `perf_counter` by
brackets of the two host clocks, and then judged by kernels that ran alone between two readings of `perf_counter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from fourways.core.run import ClockRecord
from fourways.trace.clocks import (
    Alignment,
    Brackets,
    Nanoseconds,
    align,
    aligned_clock,
    elapsed_quantum_ns,
    residuals,
    violations,
)

ANCHOR_S = 4.0
BRACKETS = 200
EVENT_RESOLUTION_NS = 500.0
"""Of event timing, by NVIDIA's documentation of `cudaEventElapsedTime`."""


class Stamp(Protocol):
    """An event of a device: `torch.cuda.Event(enable_timing=True)`, or a simulated one."""

    def record(self) -> None: ...

    def query(self) -> bool: ...

    def elapsed_time(self, end_event: Stamp) -> float: ...


class EventClock:
    """A device's clock read by events. Nanoseconds count from the first anchor.

    Use: `anchor` at the start, `stamp` where something is to be placed, `anchor` at the end; then `alignment` and
    `host_ns`. `stamp` anchors again by itself where the last one is too old, which waits for the device. To be used
    from one thread, on the current stream.
    """

    def __init__(self, new: Callable[[], Stamp], settle: Callable[[], None], now: Callable[[], int]) -> None:
        self._new = new
        self._settle = settle
        self._now = now
        self._anchors: list[tuple[Stamp, int]] = []
        self._brackets: list[Brackets] = []
        self._anchored_ns = 0
        self.quantum_ns = 0.0

    def anchor(self, count: int = BRACKETS) -> None:
        """Waits for the device, then takes `count` brackets and ties the following stamps to the tightest."""
        self._settle()
        before, after = np.zeros(count, np.int64), np.zeros(count, np.int64)
        events = [self._new() for _ in range(count)]
        for at, event in enumerate(events):
            before[at] = self._now()
            event.record()
            while not event.query():
                pass
            after[at] = self._now()
        base, device_ns = self._anchors[-1] if self._anchors else (events[0], 0)
        device = np.array([device_ns + self._elapsed_ns(base, event) for event in events], np.int64)
        best = int(np.argmin(after - before))
        self._anchors.append((events[best], int(device[best])))
        self._brackets.append(Brackets(before, device, after))
        self._anchored_ns = self._now()

    def stamp(self) -> tuple[int, Stamp]:
        """An event recorded now, and the anchor it hangs on."""
        if not self._anchors or self._now() - self._anchored_ns > ANCHOR_S * 1e9:
            self.anchor()
        event = self._new()
        event.record()
        return len(self._anchors) - 1, event

    def alignment(self) -> Alignment:
        """From the first anchor's brackets and the last's. Raises ValueError without two anchors."""
        if len(self._brackets) < 2:
            raise ValueError("the device's clock was not anchored at both ends")
        return align(self._brackets[0], self._brackets[-1])

    def host_ns(self, stamps: list[tuple[int, Stamp]], found: Alignment) -> Nanoseconds:
        """When they were reached, by the host's clock. The device must have reached them all."""
        device = [self._anchors[at][1] + self._elapsed_ns(self._anchors[at][0], event) for at, event in stamps]
        return found.to_host(np.array(device, np.int64))

    def record(self, found: Alignment, broken: int) -> ClockRecord:
        """For the run's header."""
        note = f"device events, anchored every {ANCHOR_S:g} s; float32 steps of up to {self.quantum_ns:.0f} ns"
        return aligned_clock("CUDA events on time.perf_counter", EVENT_RESOLUTION_NS, found, broken, note)

    def _elapsed_ns(self, start: Stamp, end: Stamp) -> int:
        elapsed_ms = start.elapsed_time(end)
        self.quantum_ns = max(self.quantum_ns, elapsed_quantum_ns(elapsed_ms))
        return round(elapsed_ms * 1e6)


def event_clock(device: torch.device) -> EventClock:
    """The clock of a CUDA device, which must be there."""
    return EventClock(
        _new_event,
        lambda: torch.cuda.synchronize(device),
        time.perf_counter_ns,
    )


def _new_event() -> Stamp:
    return cast(Stamp, torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]  # torch leaves it untyped


@dataclass(frozen=True)
class Kernel:
    """launched_ns, started_ns, ended_ns: on `perf_counter`. launched_ns is None if the profiler lost the launch."""

    name: str
    launched_ns: int | None
    started_ns: int
    ended_ns: int


@dataclass
class Profiled:
    """What `kernels` found, filled at the end of its block."""

    kernels: list[Kernel] = field(default_factory=list)
    clock: ClockRecord | None = None


class ProfilerEvent(Protocol):
    """What is read of one of the profiler's events."""

    def name(self) -> str: ...
    def device_type(self) -> object: ...
    def start_ns(self) -> int: ...
    def duration_ns(self) -> int: ...
    def correlation_id(self) -> int: ...


@contextmanager
def kernels(device: torch.device) -> Iterator[Profiled]:
    """Profile the block's kernels by CUPTI, on the host's clock, and judge that clock. Slows what it measures: never
    time requests in it. `clock` and `kernels` are there once the block has ended."""
    made = Profiled()
    wall = wall_brackets()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as running:
        first = _alone(device)
        yield made
        torch.cuda.synchronize(device)
        last = _alone(device)
    to_perf = align(wall, wall_brackets())
    events = list(running.profiler.kineto_results.events())
    found = on_host(events, to_perf)
    inside = [one for one in found if first.until < one.started_ns < last.since]
    made.kernels.extend(inside)
    launched = [one for one in inside if one.launched_ns is not None]
    broken = violations(
        _array([one.launched_ns or 0 for one in launched]), _array([one.started_ns for one in launched])
    )
    made.clock = _judged(found, to_perf, first, last, broken)


@dataclass(frozen=True)
class _Alone:
    """Tiny kernels that ran alone: the host's readings before each launch, and after each was done."""

    before: Nanoseconds
    after: Nanoseconds

    @property
    def since(self) -> int:
        return int(self.before[0])

    @property
    def until(self) -> int:
        return int(self.after[-1])


def _alone(device: torch.device) -> _Alone:
    small = torch.zeros(1, device=device)
    torch.cuda.synchronize(device)
    before, after = np.zeros(BRACKETS, np.int64), np.zeros(BRACKETS, np.int64)
    for at in range(BRACKETS):
        before[at] = time.perf_counter_ns()
        small.add_(1)
        torch.cuda.synchronize(device)
        after[at] = time.perf_counter_ns()
    return _Alone(before, after)


def wall_brackets(count: int = BRACKETS) -> Brackets:
    """The wall clock between two readings of `perf_counter`."""
    read = np.zeros((count, 3), np.int64)
    for at in range(count):
        read[at] = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
    return Brackets(read[:, 0], read[:, 1], read[:, 2])


def on_host(events: list[ProfilerEvent], to_perf: Alignment) -> list[Kernel]:
    """The device's events among the profiler's, by their start, each with the call that launched it."""
    calls = {one.correlation_id(): one.start_ns() for one in events if _on_cpu(one) and _launches(one)}
    on_device = sorted((one for one in events if not _on_cpu(one)), key=lambda one: one.start_ns())
    if not on_device:
        return []
    starts = to_perf.to_host(_array([one.start_ns() for one in on_device]))
    launched = [calls.get(one.correlation_id()) for one in on_device]
    shifted = to_perf.to_host(_array([0 if at is None else at for at in launched]))
    return [
        Kernel(one.name(), None if at is None else int(call), int(start), int(start) + one.duration_ns())
        for one, at, call, start in zip(on_device, launched, shifted, starts, strict=True)
    ]


def _on_cpu(event: ProfilerEvent) -> bool:
    return str(event.device_type()) == "DeviceType.CPU"


def _launches(event: ProfilerEvent) -> bool:
    """Whether it is a call of CUDA's that starts work on the device."""
    return event.name().startswith(("cudaLaunch", "cuLaunch", "cudaMemcpy", "cudaMemset", "cudaGraphLaunch"))


def _judged(found: list[Kernel], to_perf: Alignment, first: _Alone, last: _Alone, broken: int) -> ClockRecord | None:
    """By the kernels that ran alone: each lies between the host's readings, and how far it can lie from its true
    instant is told by them. They correct nothing: a launch is longer than a notice of its end, so the middle of a
    bracket is no better a guess than CUPTI's own. None if CUPTI gave too few."""
    parts = [_matched(found, part) for part in (first, last)]
    tight = [part.tightest() for part in parts if part is not None]
    if len(tight) < 2:
        return None
    residual = residuals(tight[0] + tight[1], 0, 0, 0.0, 0.0)
    p50, p99 = (float(value) for value in np.percentile(residual, [50, 99]))
    seen = replace(
        to_perf, residual_p50_ns=p50, residual_p99_ns=p99, residual_max_ns=float(residual.max()), brackets=len(residual)
    )
    return aligned_clock(
        "CUPTI on time.perf_counter", 1.0, seen, broken,
        "kernels by torch.profiler, judged by single kernels between launch and synchronisation",
    )  # fmt: skip


def _matched(found: list[Kernel], part: _Alone) -> Brackets | None:
    """Each lone kernel's middle with its two host readings; None if fewer than five can be told apart."""
    middles = _array([(one.started_ns + one.ended_ns) // 2 for one in found])
    at = np.searchsorted(part.before, middles, side="right") - 1
    sure = (at >= 0) & (middles <= part.after[-1])
    numbers, firsts, counts = np.unique(at[sure], return_index=True, return_counts=True)
    once = counts == 1
    if np.count_nonzero(once) < 5:
        return None
    return Brackets(part.before[numbers[once]], middles[sure][firsts[once]], part.after[numbers[once]])


def _array(values: list[int]) -> Nanoseconds:
    return np.array(values, np.int64)
