"""The bounded store of tensors behind both caches."""

from __future__ import annotations

import torch

from fourways.engines.local.lru import TensorCache


def test_a_part_of_a_batch_does_not_keep_the_whole_batch_alive() -> None:
    cache: TensorCache[str] = TensorCache(1 << 20)
    batch = torch.arange(1000.0).reshape(10, 100)
    cache.put("third", batch[3])
    kept = cache.find("third")
    assert kept is not None
    assert torch.equal(kept, batch[3])
    assert kept.untyped_storage().nbytes() == cache.counters()["bytes"] == 400


def test_the_least_recently_used_goes_first_and_the_bound_holds() -> None:
    cache: TensorCache[int] = TensorCache(1000)
    for key in range(2):
        cache.put(key, torch.zeros(100))
    assert cache.find(0) is not None
    cache.put(2, torch.zeros(100))
    assert cache.find(1) is None
    assert cache.find(0) is not None
    assert cache.counters() == {"hits": 0, "misses": 0, "evictions": 1, "bytes": 800, "items": 2}


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    cache: TensorCache[int] = TensorCache(100)
    cache.put(0, torch.zeros(100))
    assert cache.find(0) is None
    assert cache.counters()["bytes"] == 0
