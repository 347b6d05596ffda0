"""Bytes of tensors alive on the CPU, and their peak: PyTorch counts this for CUDA only.

A *storage* is what takes room; views of it take none. Each storage is counted once, from the operation that first
shows it (or from `adopt`) until it is freed, whoever holds it: Python, autograd's graph or an optimiser. It is read
after every operation, so a peak is exact at that grain. What is not a tensor is not counted: scratch space inside one
kernel, Python objects, the allocator's spare pages. `resident.PeakResident` sees those.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_iter


def stored(tensor: Tensor) -> Iterator[Tensor]:
    """The tensors that really hold its bytes: itself, or, for a wrapper such as a quantised weight, those inside. A
    wrapper has a shape and a dtype to compute with, and no storage of its own."""
    if not is_traceable_wrapper_subclass(tensor):
        yield tensor
        return
    names, _ = tensor.__tensor_flatten__()
    for name in names:
        yield from stored(getattr(tensor, name))


class LiveTensors:
    """Counts storages. `live` and `peak` are bytes; both are right only for what was watched or adopted.

    changed: called with `live` at every change. Frees are always seen. Storages made while nobody watches are not,
    until they are adopted or an operation under `watch` returns them. Watches the calling thread (and autograd's work
    for it on the CPU), no other.
    """

    def __init__(self, changed: Callable[[int], None] | None = None) -> None:
        self.live = 0
        self.peak = 0
        self._changed = changed
        self._known: dict[int, tuple[int, weakref.ref[Any]]] = {}

    def adopt(self, tensors: Iterable[Tensor]) -> None:
        """Count storages that were there before: weights, features, an optimiser's state. Twice is once."""
        for tensor in tensors:
            self._see(tensor)

    def reset_peak(self) -> None:
        """The peak starts again from what is alive now."""
        self.peak = self.live

    @contextmanager
    def watch(self) -> Iterator[LiveTensors]:
        """Count what operations in this block make. Each takes some microseconds longer: never time in it."""
        with EachOperation(self._see_all):
            yield self

    def size_of(self, tensor: Tensor) -> int:
        """Bytes that its storage counts for; a device that gives more, or has none of it, says otherwise."""
        return tensor.untyped_storage().nbytes()

    def _see_all(self, out: Any) -> None:
        for leaf in tree_iter(out):
            if isinstance(leaf, Tensor):
                self._see(leaf)

    def _see(self, tensor: Tensor) -> None:
        for part in stored(tensor):
            self._see_plain(part)

    def _see_plain(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, self.size_of(tensor)
        known = self._known.get(key)
        if known is None:
            self._known[key] = (size, weakref.ref(storage, lambda _: self._freed(key)))
            self._grow(size)
        elif known[0] != size:  # resized in place
            self._known[key] = (size, known[1])
            self._grow(size - known[0])

    def _freed(self, key: int) -> None:
        size, _ = self._known.pop(key)
        self._grow(-size)

    def _grow(self, size: int) -> None:
        self.live += size
        self.peak = max(self.peak, self.live)
        if self._changed is not None:
            self._changed(self.live)


class EachOperation(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Calls `after` with what every operation of this thread returned (and of autograd's work for it on the CPU)."""

    def __init__(self, after: Callable[[Any], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._after = after

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._after(out)
        return out
