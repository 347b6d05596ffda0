"""What `read_image` shows of well-formed files."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil
from PIL import ImageOps

from fourways.core.errors import MediaError
from fourways.media import Limits, is_plain, read_image

LOSSLESS = ("PNG", "WEBP")


def saved(image: Pil.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def colours(width: int = 24, height: int = 16) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png(samples: np.ndarray, color: int, key: bytes = b"") -> bytes:
    """A 16-bit PNG, which Pillow cannot write in colour. samples: (height, width, channels) uint16."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in samples)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0))
    transparent = chunk(b"tRNS", key) if key else b""
    return b"\x89PNG\r\n\x1a\n" + header + transparent + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_picture_keeps_every_pixel(kind: str) -> None:
    pixels = colours()
    image = read_image(saved(Pil.fromarray(pixels), kind, lossless=True), name="a")
    assert np.array_equal(image.pixels, pixels)
    assert (image.width, image.height) == (24, 16)


def test_a_jpeg_is_close_to_what_was_saved() -> None:
    ramp = np.linspace(0, 255, 24 * 16 * 3).astype(np.uint8).reshape(16, 24, 3)
    image = read_image(saved(Pil.fromarray(ramp), "JPEG", quality=95, subsampling=0), name="a.jpg")
    assert np.abs(image.pixels.astype(int) - ramp).max() <= 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    stored = Pil.fromarray(colours())
    exif = stored.getexif()
    exif[0x0112] = orientation
    source = saved(stored, kind, exif=exif)
    seen = ImageOps.exif_transpose(Pil.open(io.BytesIO(source))).convert("RGB")
    assert np.array_equal(read_image(source, name="a").pixels, np.asarray(seen))


def test_big_endian_exif_is_read_too() -> None:
    block = b"Exif\x00\x00MM\x00*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    assert read_image(saved(Pil.fromarray(colours()), "JPEG", exif=block), name="a").width == 16


@pytest.mark.parametrize("kind", LOSSLESS)
def test_alpha_is_composited_on_white(kind: str) -> None:
    rgba = np.zeros((3, 3, 4), np.uint8)
    rgba[0] = (200, 0, 0, 255)
    rgba[1] = (200, 0, 0, 0)
    rgba[2] = (0, 0, 0, 128)
    image = read_image(saved(Pil.fromarray(rgba), kind, lossless=True, exact=True), name="a")
    assert image.pixels[0, 0].tolist() == [200, 0, 0]
    assert image.pixels[1, 0].tolist() == [255, 255, 255]
    assert image.pixels[2, 0].tolist() == [127, 127, 127]


def test_grey_with_alpha_is_composited_on_white() -> None:
    la = np.array([[[10, 255], [10, 0]]], np.uint8)
    assert read_image(saved(Pil.fromarray(la, "LA"), "PNG"), name="a").pixels[0].tolist() == [[10] * 3, [255] * 3]


@pytest.mark.parametrize("transparent", [0, b"\x00\xff", b"\x00\x80"])
def test_a_palettes_transparent_entry_shows_white(transparent: int | bytes) -> None:
    image = Pil.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    pixels = read_image(saved(image, "PNG", transparency=transparent), name="a").pixels
    half = transparent == b"\x00\x80"
    assert pixels[0].tolist() == [[255, 255, 255], [127, 127, 255] if half else [0, 0, 255]]


def test_an_opaque_palette_becomes_its_colours() -> None:
    image = Pil.fromarray(colours()).quantize(8)
    assert np.array_equal(read_image(saved(image, "PNG"), name="a").pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L"])
def test_black_and_white_and_grey_become_three_equal_channels(mode: str) -> None:
    image = Pil.fromarray(colours()).convert(mode)
    pixels = read_image(saved(image, "PNG"), name="a").pixels
    assert np.array_equal(pixels, np.repeat(np.asarray(image.convert("L"))[:, :, None], 3, axis=2))


def test_a_transparent_colour_of_an_rgb_png_shows_white() -> None:
    image = Pil.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    pixels = read_image(saved(image, "PNG", transparency=(1, 2, 3)), name="a").pixels
    assert pixels[0].tolist() == [[255, 255, 255], [9, 9, 9]]


def test_cmyk_is_seen_in_its_colours_with_adobes_inversion() -> None:
    inks = Pil.new("CMYK", (16, 16), (0, 255, 255, 0))
    source = saved(inks, "JPEG", quality=100)
    assert b"Adobe" in source
    red = read_image(source, name="a").pixels.mean(axis=(0, 1))
    assert red[0] > 240 and red[1] < 15 and red[2] < 15


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = np.array([[[0], [257], [32768], [65535]]], np.uint16)
    assert read_image(deep_png(grey, 0), name="a").pixels[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_grey_knows_its_transparent_value() -> None:
    grey = np.array([[[0], [300]]], np.uint16)
    assert read_image(deep_png(grey, 0, struct.pack(">H", 0)), name="a").pixels[0, :, 0].tolist() == [255, 1]


@pytest.mark.parametrize(("color", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_is_scaled_not_clipped(color: int, channels: int) -> None:
    samples = np.full((1, 2, channels), 65535, np.uint16)
    samples[0, 0, : channels - (color != 2)] = 32768
    pixels = read_image(deep_png(samples, color), name="a").pixels
    assert pixels[0].tolist() == [[128] * 3, [255] * 3]


def test_sixteen_bit_rgb_knows_its_transparent_colour() -> None:
    samples = np.array([[[1000, 2000, 3000], [40000, 2000, 3000]]], np.uint16)
    pixels = read_image(deep_png(samples, 2, struct.pack(">HHH", 1000, 2000, 3000)), name="a").pixels
    assert pixels[0, 0].tolist() == [255] * 3 and pixels[0, 1].tolist() == [156, 7, 11]


@pytest.mark.parametrize("kind", LOSSLESS)
def test_an_animation_shows_its_first_frame(kind: str) -> None:
    first, second = Pil.new("RGB", (8, 8), "red"), Pil.new("RGB", (8, 8), "blue")
    source = saved(first, kind, save_all=True, append_images=[second], lossless=True, duration=100)
    assert read_image(source, name="a").pixels[4, 4].tolist() == [255, 0, 0]


def test_a_still_outside_the_animation_is_not_what_a_viewer_shows() -> None:
    still, first, second = (Pil.new("RGB", (8, 8), c) for c in ("green", "red", "blue"))
    source = saved(still, "PNG", save_all=True, append_images=[first, second], default_image=True, duration=100)
    assert read_image(source, name="a").pixels[4, 4].tolist() == [255, 0, 0]


def test_an_interlaced_picture_is_whole() -> None:
    source = saved(Pil.fromarray(colours()), "JPEG", progressive=True, quality=95)
    assert np.array_equal(read_image(source, name="a").pixels, np.asarray(Pil.open(io.BytesIO(source))))


@given(width=st.integers(1, 60), height=st.integers(1, 60), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_any_size_survives_the_strips(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(read_image(saved(Pil.fromarray(pixels), "PNG"), name="a").pixels, pixels)


def test_a_picture_of_many_strips_has_no_seam() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1500, 1000, 3), dtype=np.uint8)
    source = saved(Pil.fromarray(pixels), "PNG", compress_level=0)
    assert np.array_equal(read_image(source, name="a").pixels, pixels)


def test_the_source_hash_is_the_files_and_the_content_hash_the_pixels() -> None:
    picture = Pil.fromarray(colours())
    one, two = (read_image(saved(picture, "PNG", compress_level=level), name="a") for level in (1, 9))
    assert one.source_sha256 == hashlib.sha256(one.source).hexdigest() != two.source_sha256
    assert one.content_hash == two.content_hash
    assert one.content_hash.startswith("v1-")


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_one_changed_pixel_or_another_shape_changes_the_content_hash(data: st.DataObject) -> None:
    pixels = colours(8, 8)
    other = pixels.copy()
    at = tuple(data.draw(st.integers(0, n - 1)) for n in other.shape)
    other[at] ^= data.draw(st.integers(1, 255))
    images = [pixels, other, pixels.reshape(4, 16, 3)]
    assert len({read_image(saved(Pil.fromarray(i), "PNG"), name="a").content_hash for i in images}) == 3


def test_decoded_pixels_cannot_be_changed() -> None:
    image = read_image(saved(Pil.fromarray(colours()), "PNG"), name="a")
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(image_bytes=100), "at most 0 MiB"),
        (Limits(pixels=383), "more than the limit"),
        (Limits(aspect=1.4), "times the other"),
        (Limits(decode_bytes=384 * 7 - 1), "to decode"),
    ],
)
def test_each_limit_refuses_and_names_the_sample(limits: Limits, what: str) -> None:
    with pytest.raises(MediaError, match=rf"^sample-7: .*{what}"):
        read_image(saved(Pil.fromarray(colours()), "PNG"), name="sample-7", limits=limits)


def test_the_limits_themselves_are_allowed() -> None:
    source = saved(Pil.fromarray(colours()), "PNG")
    limits = Limits(image_bytes=len(source), pixels=384, aspect=1.5, decode_bytes=384 * 7)
    assert read_image(source, name="a", limits=limits).width == 24


@pytest.mark.parametrize("name", ["a.jpg", "dir/b.JPEG", "c.webp", "d.mp4"])
def test_a_misnamed_file_is_named_as_such(name: str) -> None:
    with pytest.raises(MediaError, match=rf"^{name}: .*PNG.* named \.{name.rpartition('.')[2].lower()}"):
        read_image(saved(Pil.fromarray(colours()), "PNG"), name=name)


@pytest.mark.parametrize("name", ["a.png", "a", "row 17", "v1.2", "a.png#question-3"])
def test_a_name_that_promises_nothing_else_is_fine(name: str) -> None:
    assert read_image(saved(Pil.fromarray(colours()), "PNG"), name=name).height == 16


def test_a_file_that_decoders_disagree_about_is_not_plain() -> None:
    picture, blue = Pil.fromarray(colours()), Pil.new("RGB", (24, 16), "blue")
    exif = picture.getexif()
    exif[0x0112] = 6
    plain = [saved(picture, "JPEG"), saved(picture, "PNG"), saved(picture, "WEBP"), saved(picture.quantize(8), "PNG")]
    others = [
        saved(picture, "JPEG", exif=exif), saved(picture, "PNG", exif=exif), saved(picture, "WEBP", exif=exif),
        saved(picture.convert("CMYK"), "JPEG"), saved(picture.convert("RGBA"), "PNG"),
        saved(picture.quantize(8), "PNG", transparency=1), deep_png(np.zeros((2, 2, 1), np.uint16), 0),
        saved(picture, "WEBP", save_all=True, append_images=[blue]),
        saved(picture, "PNG", save_all=True, append_images=[blue]),
    ]  # fmt: skip
    assert [is_plain(source) for source in plain] == [True] * len(plain)
    assert [is_plain(source) for source in others] == [False] * len(others)
