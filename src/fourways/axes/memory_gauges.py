"""What the memory probe reads, one stage at a time: the device's own counters, and the process.

CPU: bytes of live tensors. CUDA: what the caching allocator holds, what is in use beside it, and what the driver gives
to this process. Always: the process's resident size above its value before the model was loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Protocol

import torch
from torch import Tensor

from fourways.core.errors import Undefined
from fourways.core.rows import MemoryQuantity, MemoryStage
from fourways.families.contract import Family
from fourways.trace.cuda_allocator import CudaAllocator
from fourways.trace.device import process_bytes
from fourways.trace.live_tensors import LiveTensors, stored
from fourways.trace.resident import PeakResident, resident_bytes
from fourways.trace.timeline import Timeline

Reading = tuple[MemoryStage, MemoryQuantity, int]
"""Stage, quantity, bytes."""


class StageGauges(Protocol):
    """What a measured program is told apart by: `Gauges` where it runs, a counter of shapes where it is foreseen."""

    def hold(self, tensors: Iterable[Tensor]) -> None: ...

    def watch(self) -> AbstractContextManager[object]: ...

    def settle(self) -> None: ...

    def stage(self, name: MemoryStage) -> AbstractContextManager[None]: ...

    def readings(self, stage: MemoryStage) -> list[Reading]: ...


class Device(Protocol):
    """One kind of device. drawn: the quantity that a timeline shows."""

    drawn: MemoryQuantity

    def hold(self, tensors: Iterable[Tensor]) -> None: ...

    def settle(self) -> None: ...

    def reset(self) -> None: ...

    def now(self) -> int: ...

    def watch(self) -> AbstractContextManager[object]: ...

    def readings(self) -> dict[MemoryQuantity, int]: ...


class Gauges:
    """Peaks, one stage at a time. Make it before the model is loaded: the process's size then is its zero.

    timeline: filled in passing. unknown: quantity → why nobody can say it here.
    """

    def __init__(self, device: torch.device, resident: PeakResident, timeline: Timeline | None = None) -> None:
        self.unknown: dict[MemoryQuantity, str] = {}
        self.timeline = timeline
        self._resident = resident
        self._zero = resident_bytes()
        self._device: Device = _Cuda(device, timeline, self.unknown) if device.type == "cuda" else _Cpu(timeline)

    @property
    def drawn(self) -> MemoryQuantity:
        """What the timeline shows."""
        return self._device.drawn

    def loaded(self, family: Family) -> list[Reading]:
        """The readings of loading, and the weights. Call once, when the model is loaded: the timeline begins here.

        Loaders use threads of their own, so live tensors are not known while loading; the process's peak is.
        """
        held = [*family.module.parameters(), *family.module.buffers()]
        self._device.hold(held)
        if self.timeline is not None:
            self.timeline.restart()
        return [*self.readings("load", but="live_tensors"), ("weights", "exact", storage_bytes(held))]

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors that were made before anyone watched."""
        self._device.hold(tensors)

    def watch(self) -> AbstractContextManager[object]:
        """Count what is made in this block, which is no stage."""
        return self._device.watch()

    def settle(self) -> None:
        """What comes next is another program: give back what only the past has use for."""
        self._device.settle()

    @contextmanager
    def stage(self, name: MemoryStage) -> Iterator[None]:
        """Peaks start again at the beginning of the block."""
        self._device.reset()
        self._resident.reset()
        with ExitStack() as stack:
            if self.timeline is not None:
                stack.enter_context(self.timeline.stage(name, self._device.now()))
            stack.enter_context(self._device.watch())
            yield

    def readings(self, stage: MemoryStage, but: MemoryQuantity | None = None) -> list[Reading]:
        """The peaks since the last stage began, without one that is not known here."""
        found = self._device.readings()
        above = max(0, self._resident.peak() - self._zero)
        return [(stage, quantity, size) for quantity, size in found.items() if quantity != but] + [
            (stage, "process_above_load", above)
        ]


class _Cpu:
    drawn: MemoryQuantity = "live_tensors"

    def __init__(self, timeline: Timeline | None) -> None:
        self._live = LiveTensors(None if timeline is None else timeline.put)

    def hold(self, tensors: Iterable[Tensor]) -> None:
        self._live.adopt(tensors)

    def settle(self) -> None:
        """Freed tensors take no room here."""

    def reset(self) -> None:
        self._live.reset_peak()

    def now(self) -> int:
        return self._live.live

    def watch(self) -> AbstractContextManager[object]:
        return self._live.watch()

    def readings(self) -> dict[MemoryQuantity, int]:
        return {"live_tensors": self._live.peak}


class _Cuda:
    drawn: MemoryQuantity = "allocated"

    def __init__(self, device: torch.device, timeline: Timeline | None, unknown: dict[MemoryQuantity, str]) -> None:
        self._device = device
        self._allocator = CudaAllocator(device)
        self._timeline = timeline
        self._unknown = unknown

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """The allocator has counted all of them."""

    def settle(self) -> None:
        torch.cuda.empty_cache()

    def reset(self) -> None:
        self._allocator.reset()

    def now(self) -> int:
        return self._allocator.read().allocated

    def watch(self) -> AbstractContextManager[object]:
        return nullcontext() if self._timeline is None else self._allocator.watch(self._timeline.put)

    def readings(self) -> dict[MemoryQuantity, int]:
        held = self._allocator.read()
        found: dict[MemoryQuantity, int] = {
            "allocated": held.allocated_peak,
            "reserved": held.reserved_peak,
            "active": held.active,
            "inactive_split": held.inactive_split,
            "non_torch": self._allocator.non_torch(),
        }
        try:
            found["device"] = process_bytes(self._device)
        except Undefined as error:
            self._unknown["device"] = error.reason
        return found


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of these tensors by their shapes, those of one storage once (tied weights), quantised ones as stored."""
    distinct = {t.untyped_storage()._cdata: t for tensor in tensors for t in stored(tensor)}
    return sum(t.numel() * t.element_size() for t in distinct.values())
