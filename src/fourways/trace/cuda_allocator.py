"""What PyTorch's caching allocator holds on a CUDA device, and what is in use there beyond it.

Sizes are as `torch.cuda.memory_stats` gives them: *allocated* to tensors, *active* (allocated, or freed and still
awaited by another stream), *reserved* from the driver, *inactive split* (free pieces of reserved blocks that cannot
be given back: fragmentation). The driver counts the whole card, so `non_torch` holds the CUDA context and libraries of
this process and whatever other processes have there: measure on a card that nobody else uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from fourways.core.errors import Undefined
from fourways.trace.live_tensors import EachOperation


class Allocated(NamedTuple):
    """Bytes. Of a block of work: the peaks; the last four are as things stand when it is read."""

    allocated_peak: int
    reserved_peak: int
    active: int
    inactive_split: int
    allocated: int
    reserved: int


def parse(stats: Mapping[str, int]) -> Allocated:
    """From the flat dictionary of `torch.cuda.memory_stats`. Raises Undefined if it lacks a size (another backend, or
    CUDA was never used)."""
    keys = (
        "allocated_bytes.all.peak", "reserved_bytes.all.peak", "active_bytes.all.current",
        "inactive_split_bytes.all.current", "allocated_bytes.all.current", "reserved_bytes.all.current",
    )  # fmt: skip
    missing = [key for key in keys if key not in stats]
    if missing:
        raise Undefined(f"the allocator does not report {', '.join(missing)}")
    return Allocated(*(stats[key] for key in keys))


def non_torch(free: int, total: int, reserved: int) -> int:
    """Bytes in use on the device (as `cudaMemGetInfo` gives free and total) beyond what the allocator reserved."""
    return max(0, total - free - reserved)


class CudaAllocator:
    """Reads one device, after all work on it is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def reset(self) -> None:
        """Peaks start again from what is held now."""
        torch.cuda.synchronize(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def read(self) -> Allocated:
        torch.cuda.synchronize(self._device)
        return parse(torch.cuda.memory_stats(self._device))

    def non_torch(self) -> int:
        """As `non_torch`, now; after `read`, nothing lies between the two."""
        free, total = torch.cuda.mem_get_info(self._device)
        return non_torch(free, total, torch.cuda.memory_reserved(self._device))

    @contextmanager
    def watch(self, changed: Callable[[int], None]) -> Iterator[None]:
        """Calls `changed` with the bytes allocated after every operation of the block, and with the peak within an
        operation where it rose above all before it. Slow: never time in it."""
        highest = -1

        def look(_: Any) -> None:
            nonlocal highest
            allocated = torch.cuda.memory_stats_as_nested_dict(self._device)["allocated_bytes"]["all"]
            peak, now = allocated["peak"], allocated["current"]
            if peak > max(highest, now):
                changed(peak)
            highest = max(highest, peak)
            changed(now)

        with EachOperation(look):
            yield
