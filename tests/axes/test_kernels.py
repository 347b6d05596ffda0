"""Kernels of a few requests: for the trace and for the clock's record. What a device really ran needs one; here its
profiler is played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import pytest

from fourways import trace
from fourways.axes import kernels
from fourways.axes.contract import Opened
from fourways.core.run import ClockRecord
from fourways.trace.cuda_clock import Kernel, Profiled


def clock(p99: float, broken: int = 0) -> ClockRecord:
    return ClockRecord(
        "CUPTI", 1.0, 2 * p99, "played", residual_p50_ns=p99 / 2, residual_p99_ns=p99, causality_violations=broken
    )


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[ClockRecord | None]:
    """The clocks that the profiler finds, one a candidate; two kernels each."""
    found: list[ClockRecord | None] = []

    @contextmanager
    def profiler(device: object) -> Iterator[Profiled]:
        made = Profiled()
        yield made
        made.kernels += [Kernel("gemm", 900, 1000, 3000), Kernel("softmax", 3100, 3200, 3300)]
        made.clock = found.pop(0)

    monkeypatch.setattr(kernels, "kernels", profiler)
    return found


def on_cuda(one: Opened) -> Opened:
    """The same engine, said to run on a device."""
    return replace(one, candidate=msgspec.structs.replace(one.candidate, device="cuda:0"))


async def test_a_run_without_a_cuda_device_has_no_other_clock(open_random, quick_settings, played):
    assert await kernels.device_clock([await open_random("qwen")], quick_settings) is None


async def test_the_worst_clock_is_told_and_kernels_stand_in_the_trace(open_random, quick_settings, played, tmp_path):
    played += [clock(700.0), clock(1500.0, broken=2)]
    device = on_cuda(await open_random("qwen"))
    with trace.recording(tmp_path / "made"):
        worst = await kernels.device_clock([device, device], quick_settings)
    assert worst is not None and (worst.residual_p99_ns, worst.causality_violations) == (1500.0, 2)
    told = json.loads((tmp_path / "made" / "trace.json").read_text())["traceEvents"]
    assert [event["dur"] for event in told if event["ph"] == "X" and event["name"] == "gemm"] == [2.0, 2.0]


async def test_where_the_profiler_gave_nothing_there_is_no_clock(open_random, quick_settings, played):
    played.append(None)
    assert await kernels.device_clock([on_cuda(await open_random("qwen"))], quick_settings) is None
