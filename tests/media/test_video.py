"""What `read_video` keeps of a clip."""

from __future__ import annotations

import io
import itertools

import av
import numpy as np
import pytest

from fourways.core.errors import MediaError
from fourways.media import Limits, read_video
from fourways.media.mp4 import listed_frames

RATE = 10
FORMATS = {"mjpeg": "yuvj420p"}
OPTIONS = {"libx264": {"x264-params": "scenecut=0:bframes=2"}, "mpeg4": {"sc_threshold": "1000000000"}}


def clip(frames: int = 24, gop: int = 6, codec: str = "libx264", movflags: str = "disable_chpl") -> bytes:
    """A clip whose frame i is grey of level 8 i, with a white top left corner; a keyframe every `gop` frames."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"movflags": movflags}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 96, 64, FORMATS.get(codec, "yuv420p"), gop
        stream.options = OPTIONS.get(codec, {})
        for index in range(frames):
            pixels = np.full((64, 96, 3), 8 * index % 200, np.uint8)
            pixels[:16, :16] = 255
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return out.getvalue()


def turned(source: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """The clip with another display matrix (a, b, c, d) in its track header (ISO/IEC 14496-12, 8.3.2)."""
    at = source.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = ((value << 16).to_bytes(4, "big", signed=True) for value in matrix)
    zero = bytes(4)
    return source[:at] + a + b + zero + c + d + source[at + 20 :]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_clip_is_read_by_its_keyframes_with_their_times(codec: str) -> None:
    video = read_video(clip(codec=codec), name="a.mp4")
    assert video.frames.shape == (4, 64, 96, 3)
    assert video.timestamps_s == pytest.approx((0.0, 0.6, 1.2, 1.8))
    assert [int(frame[40, 60, 0]) for frame in video.frames] == pytest.approx([0, 48, 96, 144], abs=4)


def test_more_keyframes_than_wanted_are_taken_at_even_spacing_with_both_ends() -> None:
    video = read_video(clip(frames=41, gop=1), name="a.mp4", max_frames=5)
    assert video.timestamps_s == pytest.approx((0.0, 1.0, 2.0, 3.0, 4.0))


def test_one_wanted_frame_is_the_middle_one() -> None:
    assert read_video(clip(frames=3, gop=1), name="a.mp4", max_frames=1).timestamps_s == pytest.approx((0.1,))


def test_a_clip_with_one_keyframe_gives_one_frame() -> None:
    assert read_video(clip(gop=100), name="a.mp4").timestamps_s == (0.0,)


def test_large_frames_are_kept_in_smaller_number() -> None:
    video = read_video(clip(gop=1), name="a.mp4", limits=Limits(clip_pixels=3 * 96 * 64 + 1))
    assert len(video.frames) == 3


def test_a_fragmented_clip_is_the_same_clip() -> None:
    plain, other = (read_video(s, name="a") for s in (clip(), clip(movflags="frag_keyframe+empty_moov")))
    assert np.array_equal(plain.frames, other.frames)
    assert plain.timestamps_s == pytest.approx(other.timestamps_s)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [((1, 0, 0, 1), (0, 0)), ((0, 1, -1, 0), (0, -1)), ((-1, 0, 0, -1), (-1, -1)), ((0, -1, 1, 0), (-1, 0))],
)
def test_a_clip_recorded_sideways_stands_upright(matrix: tuple[int, int, int, int], corner: tuple[int, int]) -> None:
    frame = read_video(turned(clip(), matrix), name="a.mp4").frames[0]
    assert frame.shape[:2] == ((64, 96) if matrix[0] else (96, 64))
    bright = [at for at in itertools.product((0, -1), (0, -1)) if frame[at][0] > 128]
    assert bright == [corner]


def test_the_content_hash_covers_times_as_well_as_pixels() -> None:
    slow = clip(frames=6, gop=1)
    at = slow.index(b"mdhd") + 4 + 4 + 8
    fast = slow[:at] + (2 * int.from_bytes(slow[at : at + 4], "big")).to_bytes(4, "big") + slow[at + 4 :]
    one, two = read_video(slow, name="a"), read_video(fast, name="a")
    assert np.array_equal(one.frames, two.frames)
    assert one.timestamps_s != two.timestamps_s
    assert one.content_hash != two.content_hash


def test_frames_listed_are_the_frames_coded() -> None:
    assert listed_frames(clip(frames=24)) == 24
    assert listed_frames(clip(frames=24, movflags="frag_keyframe+empty_moov")) == 24


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(video_bytes=500), "at most 0 MiB"),
        (Limits(pixels=96 * 64 - 1), "more than the limit"),
        (Limits(aspect=1.4), "times the other"),
        (Limits(decode_bytes=96 * 64 * 11), "to decode"),
        (Limits(coded_frames=23), "lists 24 frames"),
    ],
)
def test_each_limit_refuses_and_names_the_sample(limits: Limits, what: str) -> None:
    with pytest.raises(MediaError, match=rf"^clip-3: .*{what}"):
        read_video(clip(), name="clip-3", limits=limits)


def test_a_codec_outside_the_list_is_refused() -> None:
    with pytest.raises(MediaError, match="video codec is not one of"):
        read_video(clip(codec="mjpeg"), name="a.mp4")


def test_a_picture_is_not_a_clip() -> None:
    with pytest.raises(MediaError, match=r"expected MP4, but the file is PNG"):
        read_video(b"\x89PNG\r\n\x1a\n" + bytes(100), name="a")
