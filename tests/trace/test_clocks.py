"""A clock with a known offset, drift and jitter is laid on the host's, and the published bound holds the truth."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.clock import host_clock
from fourways.trace.clocks import (
    TARGET_NS,
    Brackets,
    Nanoseconds,
    align,
    aligned_clock,
    elapsed_quantum_ns,
    violations,
)
from fourways.trace.cuda_clock import EventClock, ProfilerEvent, _Alone, _judged, on_host, wall_brackets


def simulated(
    draw: np.random.Generator, host_from: int, count: int, offset: int, drift: float, width: int, preempted: float
) -> Brackets:
    """Brackets around readings of a clock that shows host × (1 + drift) + offset; some are interrupted for 50 µs."""
    before = host_from + np.cumsum(draw.integers(1_000, 20_000, count))
    lead, lag = draw.integers(20, width, (2, count)) + 50_000 * (draw.random((2, count)) < preempted)
    true = before + lead
    return Brackets(before, true + np.rint(true * drift).astype(np.int64) + offset, true + lag)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32), offset=st.integers(-(2 * 10**18), 2 * 10**18), ppm=st.floats(-50, 50),
    width=st.sampled_from([40, 500, 5_000]), length_s=st.sampled_from([1, 60, 3600]),
)  # fmt: skip
def test_instants_laid_on_the_host_lie_within_the_published_bound(
    seed: int, offset: int, ppm: float, width: int, length_s: int
) -> None:
    draw = np.random.default_rng(seed)
    begin, end = 10**13, 10**13 + length_s * 10**9
    found = align(
        simulated(draw, begin, 200, offset, ppm * 1e-6, width, 0.1),
        simulated(draw, end, 200, offset, ppm * 1e-6, width, 0.1),
    )
    host = draw.integers(begin, end, 500)
    device = host + np.rint(host * (ppm * 1e-6)).astype(np.int64) + offset
    error = np.abs(found.to_host(device) - host)
    assert error.max() <= found.residual_max_ns + 2
    assert found.residual_max_ns <= 2 * width
    assert found.residual_p50_ns <= found.residual_p99_ns <= found.residual_max_ns
    assert found.drift_ppb == pytest.approx(-ppm * 1e3, abs=4 * width / length_s + 4)


def test_a_lopsided_bracket_cannot_hide_in_a_good_fit() -> None:
    """The reading always stands at the bracket's very end: the fit is exact and 1 µs off, and the bound says so."""
    before = np.arange(20, dtype=np.int64) * 10_000
    early = Brackets(before, before + 2_000, before + 2_000)
    late = Brackets(before + 10**9, before + 10**9 + 2_000, before + 10**9 + 2_000)
    found = align(early, late)
    assert found.residual_max_ns >= 1_000
    assert not aligned_clock("x", 1, found, 0, "").met


def test_too_few_brackets_and_ends_that_are_one_are_refused() -> None:
    five = simulated(np.random.default_rng(0), 10**9, 5, 0, 0, 100, 0)
    with pytest.raises(ValueError, match="5 brackets"):
        align(five, Brackets(five.before[:4], five.device[:4], five.after[:4]))
    with pytest.raises(ValueError, match="after those at the start"):
        align(five, five)
    with pytest.raises(ValueError, match="ends before"):
        Brackets(five.after, five.device, five.before)


def test_a_kernel_before_its_own_launch_is_counted() -> None:
    launched = np.array([10, 20, 30], np.int64)
    assert violations(launched, np.array([10, 19, 35], np.int64)) == 1


def test_the_step_of_elapsed_times_grows_as_float32_does() -> None:
    assert elapsed_quantum_ns(1_500) == pytest.approx(61.0, abs=0.1)
    assert elapsed_quantum_ns(3_999) == pytest.approx(122.1, abs=0.1)
    assert elapsed_quantum_ns(1_000_000) == pytest.approx(31_250, rel=0.01)


def test_one_clock_is_exact_and_meets_the_target() -> None:
    record = host_clock()
    assert (record.residual_ns, record.residual_p99_ns, record.met) == (0.0, 0.0, True)
    assert record.causality_violations is None
    assert record.target_ns == TARGET_NS


def test_the_wall_clock_is_laid_on_perf_counter_here() -> None:
    found = align(wall_brackets(), wall_brackets())
    assert found.residual_p50_ns < 1e6


class Gpu:
    """A device whose clock runs apart from the host's, and a host that spends time on everything it does."""

    def __init__(self, seed: int, offset: float, drift: float) -> None:
        self.host = 5 * 10**12
        self._offset, self._drift = offset, drift
        self._draw = random.Random(seed)

    def now(self) -> int:
        self.host += self._draw.randint(40, 90)
        return self.host

    def clock(self) -> float:
        return (self.host + self._offset) * (1 + self._drift)


@dataclass
class Event:
    gpu: Gpu
    at: float = 0.0
    host: int = 0

    def record(self) -> None:
        self.gpu.host += self.gpu._draw.randint(900, 2_500)
        self.at, self.host = self.gpu.clock(), self.gpu.host
        self.gpu.host += self.gpu._draw.randint(300, 900)

    def query(self) -> bool:
        self.gpu.host += 400
        return self.gpu._draw.random() < 0.7

    def elapsed_time(self, end_event: Event) -> float:
        return float(np.float32((end_event.at - self.at) / 1e6))


@pytest.mark.parametrize("seed", range(5))
def test_stamps_over_minutes_lie_within_the_bound_because_the_clock_is_anchored_again(seed: int) -> None:
    gpu = Gpu(seed, offset=-3e12, drift=20e-6)
    clock = EventClock(lambda: Event(gpu), lambda: None, gpu.now)  # type: ignore[arg-type, return-value]  # simulated
    clock.anchor()
    stamps = []
    for _ in range(120):
        gpu.host += 10**9
        stamps.append(clock.stamp())
    clock.anchor()
    found = clock.alignment()
    true = np.array([event.host for _, event in stamps])  # type: ignore[attr-defined]  # simulated
    error = np.abs(clock.host_ns(stamps, found) - true)
    assert error.max() <= found.residual_max_ns + 4_000  # the chain of pieces adds its steps
    assert clock.quantum_ns < 245
    record = clock.record(found, 0)
    assert record.met is False
    assert record.drift_ppb == pytest.approx(-20_000, rel=0.01)
    assert record.residual_p99_ns is not None
    assert 500 < record.residual_p99_ns < 10_000


def test_a_clock_that_was_anchored_once_is_refused() -> None:
    gpu = Gpu(0, 0, 0)
    clock = EventClock(lambda: Event(gpu), lambda: None, gpu.now)  # type: ignore[arg-type, return-value]  # simulated
    clock.stamp()
    with pytest.raises(ValueError, match="both ends"):
        clock.alignment()


@dataclass
class Told:
    """One of the profiler's events."""

    label: str
    device: str
    start: int
    length: int
    correlation: int

    def name(self) -> str:
        return self.label

    def device_type(self) -> str:
        return f"DeviceType.{self.device}"

    def start_ns(self) -> int:
        return self.start

    def duration_ns(self) -> int:
        return self.length

    def correlation_id(self) -> int:
        return self.correlation


def test_kernels_find_their_launches_and_those_before_them_show() -> None:
    wall = 1_700_000_000_000_000_000
    shift = align(*(_exact(at, wall) for at in (0, 10**10)))
    events: list[ProfilerEvent] = [
        Told("cudaLaunchKernel", "CPU", wall + 1_000, 500, 7), Told("aten::add", "CPU", wall + 900, 900, 8),
        Told("gemm", "CUDA", wall + 3_000, 400, 7), Told("cudaLaunchKernel", "CPU", wall + 5_000, 500, 9),
        Told("softmax", "CUDA", wall + 4_990, 300, 9), Told("lost", "CUDA", wall + 9_000, 100, 11),
    ]  # fmt: skip
    found = on_host(events, shift)
    assert [(k.name, k.launched_ns, k.started_ns, k.ended_ns) for k in found] == [
        ("gemm", 1_000, 3_000, 3_400), ("softmax", 5_000, 4_990, 5_290), ("lost", None, 9_000, 9_100),
    ]  # fmt: skip
    pairs = [(k.launched_ns, k.started_ns) for k in found if k.launched_ns is not None]
    launched, started = np.array(pairs, np.int64).T
    assert violations(launched, started) == 1
    assert on_host([], shift) == []


def _exact(at: int, ahead: int) -> Brackets:
    host = at + np.arange(10, dtype=np.int64) * 100
    return Brackets(host, host + ahead, host)


def test_the_profilers_clock_is_judged_by_kernels_that_ran_alone() -> None:
    def alone(at: int) -> _Alone:
        before: Nanoseconds = at + np.arange(50, dtype=np.int64) * 20_000
        return _Alone(before, before + 10_000)

    first, last = alone(0), alone(10**9)
    skew = 700  # what CUPTI's conversion is off by
    shift = align(*(_exact(at, 0) for at in (0, 10**10)))
    told: list[ProfilerEvent] = [
        Told("add", "CUDA", int(at) + 5_000 + skew - 1_000, 2_000, n)
        for n, at in enumerate([*first.before, *last.before])
    ]
    record = _judged(on_host(told, shift), shift, first, last, 3)
    assert record is not None
    assert record.residual_p99_ns == pytest.approx(5_000 + skew, abs=1)
    assert record.causality_violations == 3
    assert _judged([], shift, first, last, 0) is None
