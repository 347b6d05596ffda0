"""Counters of a GPU are parsed as their libraries give them, and their absence is said in words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from fourways.core.errors import Undefined
from fourways.trace import nvml
from fourways.trace.cuda_allocator import Allocated, CudaAllocator, non_torch, parse
from fourways.trace.device import own_bytes, process_bytes

MIB = 2**20
STATS = {
    "active_bytes.all.current": 6312 * MIB, "active_bytes.all.peak": 11842 * MIB,
    "active_bytes.large_pool.current": 6309 * MIB, "active_bytes.large_pool.peak": 11838 * MIB,
    "allocated_bytes.all.current": 6176 * MIB, "allocated_bytes.all.peak": 11842 * MIB,
    "allocated_bytes.large_pool.current": 6173 * MIB, "allocated_bytes.large_pool.peak": 11838 * MIB,
    "inactive_split_bytes.all.current": 791 * MIB, "inactive_split_bytes.all.peak": 1526 * MIB,
    "inactive_split_bytes.large_pool.current": 788 * MIB, "requested_bytes.all.current": 6311 * MIB,
    "reserved_bytes.all.current": 13010 * MIB, "reserved_bytes.all.peak": 13010 * MIB,
}  # fmt: skip
"""Sizes in MiB as a training loop's `torch.cuda.memory_stats` gave them (public thread meta-pytorch/torchrec#3580); the
reserved ones are ours."""
HAS_CUDA = torch.cuda.is_available()


def test_peaks_of_tensors_and_of_what_was_reserved_and_the_rest_as_it_stands() -> None:
    expected = Allocated(
        allocated_peak=11842, reserved_peak=13010, active=6312, inactive_split=791, allocated=6176, reserved=13010
    )
    assert parse(STATS) == Allocated(*(size * MIB for size in expected))


def test_a_backend_that_does_not_count_is_undefined_and_names_what_is_missing() -> None:
    without = {key: value for key, value in STATS.items() if not key.startswith("inactive")}
    with pytest.raises(Undefined, match=r"does not report inactive_split_bytes\.all\.current"):
        parse(without)
    with pytest.raises(Undefined, match=r"allocated_bytes\.all\.peak"):
        parse({})  # what torch gives before CUDA is used


def test_what_is_not_torchs_is_what_the_driver_counts_beyond_the_allocator() -> None:
    assert non_torch(free=60 * MIB, total=80 * MIB, reserved=15 * MIB) == 5 * MIB
    assert non_torch(free=80 * MIB, total=80 * MIB, reserved=MIB) == 0


@dataclass
class Listed:
    pid: int
    usedGpuMemory: int | None  # noqa: N815  # NVML's own name


def test_this_processs_share_of_a_device_is_found_by_its_number() -> None:
    assert own_bytes([Listed(7, 5 * MIB), Listed(8, 9 * MIB)], 8) == 9 * MIB


@pytest.mark.parametrize(
    ("listed", "reason"),
    [([Listed(7, MIB)], "does not list this process"), ([], "container"), ([Listed(8, None)], "no memory per process")],
)
def test_a_share_that_nvml_hides_is_undefined(listed: list[Listed], reason: str) -> None:
    with pytest.raises(Undefined, match=reason):
        own_bytes(listed, 8)


def test_without_the_drivers_library_the_reason_is_nvmls_own() -> None:
    pytest.importorskip("pynvml")
    try:
        nvml.load()
    except Undefined as error:
        assert error.reason.startswith("NVML: ")
    else:
        assert torch.cuda.is_available() or nvml.load() is not None


def test_without_its_python_package_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with pytest.raises(Undefined, match="nvidia-ml-py is not installed"):
        nvml.load()


@pytest.mark.skipif(not HAS_CUDA, reason="there is no CUDA device here")
def test_on_a_real_device_a_tensor_is_in_every_counter() -> None:
    device = torch.device("cuda:0")
    allocator = CudaAllocator(device)
    seen: list[int] = []
    allocator.reset()
    before = allocator.read()
    with allocator.watch(seen.append):
        block = torch.zeros(64 * MIB, dtype=torch.uint8, device=device)
        del block
        torch.zeros(1, device=device)
    after = allocator.read()
    assert after.allocated_peak - before.allocated >= 64 * MIB
    assert after.reserved >= 64 * MIB
    assert max(seen) == after.allocated_peak
    assert allocator.non_torch() >= 0
    try:
        assert process_bytes(device) > 64 * MIB
    except Undefined as error:
        assert error.reason
