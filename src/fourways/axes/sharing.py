"""Dividing a benchmark's samples: into the shards of several runs, and into the chunks of several workers.

Contract: an image's questions are never divided, so that each image is decoded and encoded in one place. The shards of
a draw are disjoint, complete and depend on nothing but the draw, so that no run has to know of the others.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence

import msgspec

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.draw import whole_units
from fourways.core.run import Shard

LARGEST, SMALLEST = 64, 4
"""Samples of a chunk, as far as whole units allow: enough that a batch stays full, few enough that little is asked
again when a worker dies."""


class Chunk(msgspec.Struct, frozen=True):
    """What a worker is asked at once. units: the ids of samples that stand together, in the order to ask them."""

    benchmark: str
    units: tuple[tuple[str, ...], ...]

    @property
    def samples(self) -> tuple[str, ...]:
        return tuple(name for unit in self.units for name in unit)


def shard_of(samples: Sequence[Sample], shard: Shard, benchmark: str) -> list[Sample]:
    """The part of drawn samples that a shard asks. Each unit goes to the shard with the fewest samples so far, so no
    two shards differ by more than the largest unit. Where several have equally few, the benchmark's key decides which
    is first: the small remainders of many benchmarks do not all fall to shard 1."""
    first = int.from_bytes(hashlib.sha256(benchmark.encode()).digest()[:4], "big") % shard.of
    order = [(0, (index - first) % shard.of, index) for index in range(shard.of)]
    heapq.heapify(order)
    kept: list[Sample] = []
    for unit in whole_units(samples):
        held, turn, index = order[0]
        heapq.heapreplace(order, (held + len(unit), turn, index))
        if index == shard.index - 1:
            kept.extend(unit)
    return kept


def chunks_of(benchmark: str, samples: Sequence[Sample], hands: int) -> list[Chunk]:
    """Chunks in the order of the samples. hands: how many chunks are asked at once, over all workers. Chunks become
    smaller towards the end, so that no worker is left waiting for another's last one."""
    units = [tuple(sample.id for sample in unit) for unit in whole_units(samples)]
    left = len(samples)
    chunks: list[Chunk] = []
    gathered: list[tuple[str, ...]] = []
    for unit in units:
        gathered.append(unit)
        size = sum(map(len, gathered))
        if size >= min(LARGEST, max(SMALLEST, left // (2 * hands))):
            chunks.append(Chunk(benchmark, tuple(gathered)))
            left, gathered = left - size, []
    if gathered:
        chunks.append(Chunk(benchmark, tuple(gathered)))
    return chunks
