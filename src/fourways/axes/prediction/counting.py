"""Counts what shapes would take, stage by stage, as the probe's gauges count what tensors take.

On the CPU: bytes of live tensors after every operation, exactly as the probe counts them. On CUDA: what the caching
allocator would hold: each tensor on the device rounded up to the allocator's 512 bytes, and what the operations
that are known for it need inside. Not in it: workspaces of cuBLAS and cuDNN (`cards.CONTEXT_BYTES` keeps room).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fourways.axes.memory_gauges import Reading
from fourways.axes.prediction.alike import Known, alike
from fourways.core.rows import MemoryQuantity, MemoryStage
from fourways.trace.live_tensors import LiveTensors

BLOCK_BYTES = 512
"""The caching allocator gives whole multiples of it (kMinBlockSize in c10/cuda/CUDACachingAllocator.cpp)."""


HOST = torch.device("meta")
"""Where pixels of a CUDA request wait. Autograd and indexing ask a device named "cuda" for itself, so what lies on it
is a shape on the CPU, and what lies on the host needs another name."""
Target = Literal["cpu", "cuda"]


class Counter(LiveTensors):
    """Live tensors of one device. `peak` may be raised by what is known without being seen."""

    quantity: MemoryQuantity = "live_tensors"

    def rise(self, size: int) -> None:
        """For a moment, so many bytes more than now."""
        self.peak = max(self.peak, self.live + size)


class CudaCounter(Counter):
    """What the caching allocator would hold."""

    quantity: MemoryQuantity = "allocated"

    def size_of(self, tensor: Tensor) -> int:
        if tensor.device == HOST:
            return 0
        return -(-super().size_of(tensor) // BLOCK_BYTES) * BLOCK_BYTES


class Foreseen:
    """Stands where the probe's `Gauges` stand, for a model of shapes."""

    def __init__(self, target: Target) -> None:
        self._counter: Counter = CudaCounter() if target == "cuda" else Counter()

    @property
    def live(self) -> int:
        return self._counter.live

    def loaded(self, module: nn.Module) -> None:
        """Count the weights. Call once."""
        self.hold([*module.parameters(), *module.buffers()])

    def hold(self, tensors: Iterable[Tensor]) -> None:
        self._counter.adopt(tensors)

    def settle(self) -> None:
        """Nothing is kept for later here."""

    @contextmanager
    def watch(self) -> Iterator[None]:
        with self._counter.watch(), _Inside(self._counter) if self._on_cuda else _nothing():
            yield

    @contextmanager
    def stage(self, name: MemoryStage) -> Iterator[None]:
        self._counter.reset_peak()
        with self.watch():
            yield

    def readings(self, stage: MemoryStage) -> list[Reading]:
        return [(stage, self._counter.quantity, self._counter.peak)]

    def alike(self, module: nn.Module, known: dict[Hashable, Known]) -> AbstractContextManager[None]:
        """In this block, layers that would need the same are run once; `known`: what others found before, and after."""
        return alike(module, self._counter, known)

    @property
    def _on_cuda(self) -> bool:
        return isinstance(self._counter, CudaCounter)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class _Inside(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Room that a CUDA kernel takes and gives back before it returns."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._counter = counter

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.masked_scatter.default:
            # The mask written out, and an int64 sum over it (ATen/native/cuda/IndexKernel.cpp).
            self._counter.rise(out.numel() * (1 + 8))
        return out
