"""Drawn pictures: files that every decoder reads, of plausible sizes, in which no part is known from elsewhere."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as Pil

from fourways.core.conversation import Pixels
from fourways.load.workload.bits import LONGEST, canonical, code_lengths, pack
from fourways.load.workload.pictures import photo, picture
from fourways.load.workload.png import png
from fourways.media import is_plain, read_image

pixels = arrays.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30), st.just(3)))


@given(pixels)
@settings(deadline=None, max_examples=80)
def test_any_pixels_come_back_from_the_png(shown: Pixels) -> None:
    source = png(shown)
    with Pil.open(io.BytesIO(source)) as opened:
        assert np.array_equal(np.asarray(opened.convert("RGB")), shown)
    assert np.array_equal(read_image(source, name="x").pixels, shown)
    assert is_plain(source), "a server is sent the file as it is"


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=257).filter(lambda counts: sum(c > 0 for c in counts) > 1))
@settings(deadline=None, max_examples=80)
def test_code_lengths_are_a_full_code_within_the_limit(counts: list[int]) -> None:
    lengths = code_lengths(np.array(counts, np.int64))
    used = [int(length) for length, count in zip(lengths, counts, strict=True) if count]
    assert all(1 <= length <= LONGEST for length in used)
    assert sum(2.0**-length for length in used) == 1.0
    assert all(length == 0 for length, count in zip(lengths, counts, strict=True) if not count)


def test_counts_that_grow_like_fibonacci_still_fit() -> None:
    """The deepest tree that so many symbols can have."""
    counts = [1, 1]
    while len(counts) < 40:
        counts.append(counts[-1] + counts[-2])
    assert int(code_lengths(np.array(counts, np.int64)).max()) <= LONGEST


@given(st.lists(st.integers(1, 2 * LONGEST), min_size=1, max_size=300), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_bits_are_packed_one_after_another(sizes: list[int], random: object) -> None:
    codes = [getattr(random, "getrandbits")(size) for size in sizes]  # noqa: B009  # hypothesis gives a plain Random
    packed = int.from_bytes(pack(np.array(codes, np.uint64), np.array(sizes, np.uint64)), "little")
    for code, size in zip(codes, sizes, strict=True):
        assert packed & ((1 << size) - 1) == code
        packed >>= size
    assert packed == 0


def test_the_codes_are_those_of_the_specification() -> None:
    """RFC 1951, 3.2.2, its example: lengths 3 3 3 3 3 2 4 4."""
    codes = canonical(np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint64))
    wanted = ["010", "011", "100", "101", "110", "00", "1110", "1111"]
    assert [format(int(code), f"0{len(bits)}b")[::-1] for code, bits in zip(codes, wanted, strict=True)] == wanted


@pytest.mark.parametrize(
    ("content", "form", "least", "most"),
    [
        ("photo", "jpeg", 0.12, 0.30),
        ("photo", "png", 1.2, 2.0),
        ("page", "jpeg", 0.15, 0.45),
        ("page", "png", 0.6, 1.8),
    ],
)
def test_files_are_as_large_as_real_ones(content: str, form: str, least: float, most: float) -> None:
    """Bytes a pixel at quality 85: photographs take 0.15 to 0.3 as JPEG and 1.3 to 2 as PNG, scans 0.15 to 0.4."""
    for number in range(3):
        source = picture(1240, 1754, number, content=content, format=form, quality=85)  # type: ignore[arg-type]
        assert least < len(source) / (1240 * 1754) < most


def test_no_tile_of_one_photo_is_in_another() -> None:
    """Caches keep tiles: of 28 pixels, the smallest unit of any family, none may come again."""
    seen = set()
    for number in range(40):
        shown = photo(112, 112, number)
        seen |= {
            zlib.crc32(shown[y : y + 28, x : x + 28].tobytes()) for y in range(0, 112, 28) for x in range(0, 112, 28)
        }
    assert len(seen) == 40 * 16


def test_a_photo_has_contrast_at_every_scale() -> None:
    """Averaged over squares of 1, 4, 16 and 64 pixels, it still varies."""
    grey = photo(512, 512, 1).mean(axis=2)
    for size in (1, 4, 16, 64):
        coarse = grey.reshape(512 // size, size, 512 // size, size).mean(axis=(1, 3))
        assert coarse.std() > 12
    assert 90 < grey.mean() < 166


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 200), (200, 1), (17, 3), (513, 255)])
@pytest.mark.parametrize("content", ["photo", "page"])
@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_any_size_can_be_drawn(width: int, height: int, content: str, form: str) -> None:
    source = picture(width, height, 5, content=content, format=form, quality=70)  # type: ignore[arg-type]
    read = read_image(source, name="x")
    assert (read.width, read.height) == (width, height)
