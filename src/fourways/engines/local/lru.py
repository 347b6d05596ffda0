"""A bounded, thread-safe store of tensors: least recently used goes first, bounded by bytes (and number), counted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from torch import Tensor

K = TypeVar("K", bound=Hashable)


class TensorCache(Generic[K]):
    """Keys are compared in full (no digest stands in for content). A tensor larger than the bound is not kept, and of
    a view only its own part is: a part of a batch must not keep the whole batch alive."""

    def __init__(
        self, max_bytes: int, max_items: int | None = None, changed: Callable[[int], None] = lambda _: None
    ) -> None:
        """changed(bytes): is told how much it holds, after each change."""
        self._max_bytes, self._max_items, self._changed = max_bytes, max_items, changed
        self._items: OrderedDict[K, Tensor] = OrderedDict()
        self._lock = threading.Lock()
        self.generation = 0
        """How often it was outdated."""
        self._bytes = self._hits = self._misses = self._evictions = 0

    def find(self, key: K) -> Tensor | None:
        """The tensor, now the most recently used, or None. Counts nothing: a look is not yet a use."""
        with self._lock:
            tensor = self._items.get(key)
            if tensor is not None:
                self._items.move_to_end(key)
            return tensor

    def put(self, key: K, tensor: Tensor) -> None:
        size = _bytes(tensor)
        if size > self._max_bytes:
            return
        if tensor.untyped_storage().nbytes() > size:
            tensor = tensor.clone()
        with self._lock:
            if key in self._items:
                return
            self._items[key] = tensor
            self._bytes += size
            while self._bytes > self._max_bytes or len(self._items) > (self._max_items or len(self._items)):
                key, oldest = self._items.popitem(last=False)
                self._bytes -= _bytes(oldest)
                self._evictions += 1
                self._gone(key)
            self._changed(self._bytes)

    def _gone(self, key: K) -> None:
        """Told of each key that is evicted, under the lock."""

    def count(self, *, hits: int = 0, misses: int = 0) -> None:
        with self._lock:
            self._hits += hits
            self._misses += misses

    def clear(self) -> None:
        with self._lock:
            self._items.clear()
            self._bytes = 0
            self._changed(0)

    def outdate(self) -> None:
        """Clear, because what is in here became wrong: what was found before must not be used any more."""
        self.clear()
        self.generation += 1

    def counters(self) -> dict[str, int]:
        with self._lock:
            return {
                "hits": self._hits, "misses": self._misses, "evictions": self._evictions,
                "bytes": self._bytes, "items": len(self._items),
            }  # fmt: skip


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
