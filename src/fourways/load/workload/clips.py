"""Clips that nobody has seen: a slow pan over a drawn photo, as MP4.

The pictures are the same on every machine; the file's bytes are as long as FFmpeg and its encoder are, because video
encoders promise no more.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from fourways.core.errors import UserError
from fourways.load.workload.pictures import photo

_ENCODERS = ("libx264", "mpeg4")
_STEP = 6


def encoder() -> str:
    """H.264 where this build of FFmpeg has it, else MPEG-4 part 2. Raises UserError where it can write neither."""
    found = next((name for name in _ENCODERS if name in av.codecs_available and _writes(name)), None)
    if found is None:
        raise UserError(
            f"this machine's PyAV can encode none of {', '.join(_ENCODERS)}, so no clip can be made",
            hint="install PyAV's wheel from PyPI, or leave `videos` out of the workload",
        )
    return found


def clip(width: int, height: int, frames: int, fps: float, number: int) -> bytes:
    """An MP4 file in which every frame is a keyframe. width, height: even. number: 64 bits that decide every pixel."""
    ground = photo(width + _STEP * frames, height + _STEP * frames, number)
    out = io.BytesIO()
    with av.open(out, mode="w", format="mp4", options={"fflags": "+bitexact"}) as container:
        rate = Fraction(fps).limit_denominator(1000)
        stream = cast(VideoStream, container.add_stream(encoder(), rate=rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        stream.codec_context.gop_size = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for index in range(frames):
            left = top = _STEP * index
            seen = np.ascontiguousarray(ground[top : top + height, left : left + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(seen, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def _writes(name: str) -> bool:
    try:
        av.Codec(name, "w")
    except av.error.FFmpegError:
        return False
    return True
