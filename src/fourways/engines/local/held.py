"""Bytes of the tensors that the engine holds beside the weights, told to the trace as they change.

`tensor_alloc_bytes` of an event is what is allocated at that moment: on a CUDA device by its allocator, which counts
everything; on a CPU, where PyTorch counts nothing, the store of keys and values and the two caches. Reading either is
a few additions or one call of the allocator, and only while something records.
"""

from __future__ import annotations

from typing import Literal

import torch

from fourways import trace
from fourways.trace import recorder

Holder = Literal["kv_cache", "feature_cache", "prefix_cache"]


class Held:
    """Told by those who hold tensors; any thread may ask."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._bytes: dict[Holder, int] = {"kv_cache": 0, "feature_cache": 0, "prefix_cache": 0}

    def now(self, holder: Holder, count: int) -> None:
        """It holds so many bytes from now on: an event `<holder>_alloc` or `<holder>_free` where that is a change."""
        before, self._bytes[holder] = self._bytes[holder], count
        if count != before and recorder.active() is not None:
            self.emit(f"{holder}_alloc" if count > before else f"{holder}_free")

    def emit(self, name: str) -> None:
        """An event of the calling thread, with what is allocated now."""
        if self._cuda is None:
            trace.emit(name, trace.THREAD, sum(self._bytes.values()))
            return
        counters = torch.cuda.memory_stats_as_nested_dict(self._cuda)
        trace.emit(
            name,
            trace.THREAD,
            counters["allocated_bytes"]["all"]["current"],
            counters["reserved_bytes"]["all"]["peak"] // 1024,
        )
