"""Codes of different lengths, packed into bytes at the speed of arrays."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
LONGEST = 15
"""Bits of the longest code of a symbol, as Deflate has it (RFC 1951, 3.2.7)."""


def code_lengths(counts: NDArray[np.int64]) -> Words:
    """Lengths of a Huffman code for symbols that come so often; 0 for those that never come. No length is above
    `LONGEST`: where one would be, the counts are levelled. At least two symbols must come."""
    counts = counts.copy()
    while True:
        lengths = _huffman(counts)
        if lengths.max() <= LONGEST:
            return lengths
        counts = np.where(counts > 0, counts // 2 + 1, 0)


def _huffman(counts: NDArray[np.int64]) -> Words:
    """Ties go to the symbol, then to the tree, that came first, so that the code is the same everywhere."""
    symbols = np.flatnonzero(counts).tolist()
    heap: list[tuple[int, int]] = [(int(counts[symbol]), order) for order, symbol in enumerate(symbols)]
    children: dict[int, tuple[int, int]] = {}
    heapq.heapify(heap)
    node = len(symbols)
    while len(heap) > 1:
        (less, left), (more, right) = heapq.heappop(heap), heapq.heappop(heap)
        children[node] = (left, right)
        heapq.heappush(heap, (less + more, node))
        node += 1
    lengths = np.zeros(counts.size, np.uint64)
    depths = {node - 1: 0}
    for parent in range(node - 1, len(symbols) - 1, -1):
        for child in children[parent]:
            depths[child] = depths[parent] + 1
    for order, symbol in enumerate(symbols):
        lengths[symbol] = depths[order]
    return lengths


def canonical(lengths: Words) -> Words:
    """The codes of RFC 1951, 3.2.2, with their bits turned round, as Deflate stores them."""
    codes = np.zeros(lengths.size, np.uint64)
    code, before = 0, 0
    for length, symbol in sorted((int(length), symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        codes[symbol] = int(format(code, f"0{length}b")[::-1], 2)
        code, before = code + 1, length
    return codes


def pack(codes: Words, lengths: Words) -> bytes:
    """The codes one after another, each from its lowest bit on, into bytes from their lowest bit on. lengths: at most
    `2 * LONGEST`; a code has no bit at or above its own."""
    if codes.size % 2:
        codes, lengths = np.append(codes, np.uint64(0)), np.append(lengths, np.uint64(0))
    words = codes[::2] | codes[1::2] << lengths[::2]
    widths = lengths[::2] + lengths[1::2]
    ends = np.cumsum(widths, dtype=np.uint64)
    at, total = ends - widths, int(ends[-1])
    index, offset = (at >> np.uint64(6)).astype(np.int64), at & np.uint64(63)
    out = np.zeros(total // 64 + 2, np.uint64)
    firsts = np.flatnonzero(np.diff(index, prepend=-1))
    out[index[firsts]] = np.bitwise_or.reduceat(words << offset, firsts)
    # A shift by 64 is undefined: it is done in two.
    out[index[firsts] + 1] |= np.bitwise_or.reduceat((words >> np.uint64(1)) >> (np.uint64(63) - offset), firsts)
    return out.astype("<u8").tobytes()[: (total + 7) // 8]
