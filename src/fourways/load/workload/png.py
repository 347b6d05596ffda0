"""PNG files whose bytes are the same on every machine.

zlib and its successors compress alike in result and not in bytes, so the Deflate stream is written here: one block, a
Huffman code of its own, no matches. Photographs hardly have matches, and their files are as large as other writers';
those of pages are larger.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from fourways.core.conversation import Pixels
from fourways.load.workload.bits import Words, canonical, code_lengths, pack

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AVERAGE = 3
_END = 256
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def png(pixels: Pixels) -> bytes:
    """An RGB file (PNG, third edition), every row filtered by `average`. pixels: (height, width, 3)."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", _zlib(_filtered(pixels))) + _chunk(b"IEND", b"")


def _filtered(pixels: Pixels) -> Pixels:
    """Rows with their filter's number in front, (height, 1 + 3 · width)."""
    height, width, _ = pixels.shape
    flat = pixels.reshape(height, 3 * width)
    guessed = np.zeros((height, 3 * width), np.uint16)
    guessed[:, 3:] = flat[:, :-3]
    guessed[1:] += flat[:-1]
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = _AVERAGE
    np.subtract(flat, (guessed >> 1).astype(np.uint8), out=rows[:, 1:])
    return rows


def _zlib(rows: Pixels) -> bytes:
    """RFC 1950 around one block of RFC 1951 with a code of its own (3.2.7)."""
    symbols = rows.ravel()
    counts = np.append(np.bincount(symbols, minlength=_END), 1)
    lengths = code_lengths(counts)
    codes = canonical(lengths)
    (head, head_sizes), (pairs, pair_sizes) = _head(lengths), _pairs(codes, lengths)
    whole = symbols[: symbols.size & ~1].view("<u2")
    rest = np.append(symbols[whole.size * 2 :].astype(np.int64), _END)
    body = pack(
        np.concatenate([head, pairs[whole], codes[rest]]),
        np.concatenate([head_sizes, pair_sizes[whole], lengths[rest]]),
    )
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(symbols.tobytes()))


def _pairs(codes: Words, lengths: Words) -> tuple[Words, Words]:
    """The code of every two bytes, the first of which is the lower half of the index, and its length."""
    first, second = np.arange(1 << 16) & 255, np.arange(1 << 16) >> 8
    return codes[first] | codes[second] << lengths[first], lengths[first] + lengths[second]


def _head(lengths: Words) -> tuple[Words, Words]:
    """The block's header: last, dynamic; 257 literal codes, one unused distance code; their lengths, 4 bits each."""
    fields = [(1, 1), (2, 2), (0, 5), (0, 5), (len(_ORDER) - 4, 4)]
    fields += [(0 if symbol > 15 else 4, 3) for symbol in _ORDER]
    fields += [(int(format(int(length), "04b")[::-1], 2), 4) for length in (*lengths, 0)]
    codes, sizes = zip(*fields, strict=True)
    return np.array(codes, np.uint64), np.array(sizes, np.uint64)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
