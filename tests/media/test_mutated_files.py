"""Valid files with bytes changed, cut out, doubled or cut off: a picture or a MediaError, never anything else."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil

from fourways.core.errors import MediaError
from fourways.media import Limits, read_image, read_video

# A mutated header may announce any size; small limits keep the test small.
LIMITS = Limits(pixels=1 << 20, decode_bytes=16 << 20)


def saved(mode: str, kind: str, **options: object) -> bytes:
    pixels = np.random.default_rng(5).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    out = io.BytesIO()
    colour = Pil.fromarray(pixels) if mode in ("RGB", "RGBA", "P") else Pil.fromarray(pixels[:, :, :3].copy())
    deep = pixels[:, :, :2].copy().view(np.uint16)[:, :, 0]
    image = Pil.fromarray(deep) if mode == "I;16" else colour.convert(mode)
    image.save(out, kind, **options)
    return out.getvalue()


def clip() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 48, 32, "yuv420p", 3
        for index in range(7):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), index * 30, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return out.getvalue()


ANIMATION = [Pil.new("RGB", (30, 20), "red"), Pil.new("RGB", (30, 20), "blue")]
EXIF = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
PICTURES = {
    "baseline JPEG": saved("RGB", "JPEG", exif=EXIF),
    "progressive JPEG": saved("RGB", "JPEG", progressive=True),
    "CMYK JPEG": saved("CMYK", "JPEG"),
    "PNG": saved("RGB", "PNG"),
    "palette PNG": saved("P", "PNG", transparency=3),
    "16-bit PNG": saved("I;16", "PNG"),
    "animated PNG": saved("RGB", "PNG", save_all=True, append_images=ANIMATION, default_image=True),
    "WebP": saved("RGB", "WEBP", exif=EXIF),
    "lossless WebP": saved("RGBA", "WEBP", lossless=True),
    "animated WebP": saved("RGB", "WEBP", save_all=True, append_images=ANIMATION),
}
CLIP = clip()


@st.composite
def mutated(draw: st.DrawFn, source: bytes) -> bytes:
    """Early bytes are drawn more often: headers are where decoders go wrong."""
    data = bytearray(source)
    for _ in range(draw(st.integers(1, 6))):
        reach = draw(st.sampled_from([64, 400, len(data)]))
        at = draw(st.integers(0, max(0, min(reach, len(data)) - 1)))
        span = draw(st.integers(1, 16))
        old, new = bytes(data[at : at + span]), draw(st.binary(min_size=span, max_size=span))
        data[at : at + span] = draw(st.sampled_from([new, b"", old * 2, b"\xff" * span]))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


@pytest.mark.parametrize("kind", PICTURES)
def test_a_mutated_picture_is_read_or_refused(kind: str) -> None:
    @given(mutated(PICTURES[kind]))
    @settings(max_examples=300, deadline=None)
    def reads_or_refuses(source: bytes) -> None:
        try:
            image = read_image(source, name="it", limits=LIMITS)
        except MediaError as error:
            assert str(error).startswith("it: ")
        else:
            assert image.pixels.shape == (image.height, image.width, 3)

    reads_or_refuses()


@given(mutated(CLIP))
@settings(max_examples=300, deadline=None)
def test_a_mutated_clip_is_read_or_refused(source: bytes) -> None:
    try:
        video = read_video(source, name="it", limits=LIMITS)
    except MediaError as error:
        assert str(error).startswith("it: ")
    else:
        assert len(video.frames) == len(video.timestamps_s) > 0


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused(source: bytes) -> None:
    for read in (read_image, read_video):
        with pytest.raises(MediaError):
            read(source, name="it")
