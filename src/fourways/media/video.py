"""One clip: bytes → a `Video` of a few of its keyframes."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from fourways.core.conversation import Pixels, Video
from fourways.core.errors import MediaError
from fourways.media.hashing import content_hash, source_sha256
from fourways.media.limits import Limits, check_file_size, check_size
from fourways.media.mp4 import listed_frames
from fourways.media.sniff import VIDEO_FORMATS, recognise

if TYPE_CHECKING:  # FFmpeg is loaded with the first clip, and a machine that sees none needs none
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

_CODECS = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
_BYTES_PER_PIXEL = 12  # a decoder's few reference pictures at 1.5 bytes a pixel (10 bits: 3), and one RGB copy


def read_video(source: bytes, *, name: str, limits: Limits | None = None, max_frames: int = 16) -> Video:
    """An MP4 (or MOV) clip by its keyframes, upright, with their times in seconds from the clip's start.

    Keyframes need no other frame to be decoded and stand where the encoder saw the scene change. Where there are more
    than `max_frames` of them (or than `limits.clip_pixels` has room for), that many are taken at even spacing, first
    and last included. A clip with one keyframe gives one frame.

    name: the sample, for messages. Raises MediaError, naming the sample, for anything else or beyond `limits`.
    """
    import av.container  # noqa: F401  # where it is missing, that is no damaged clip

    if max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    limits = limits or Limits()
    check_file_size(source, name=name, limit=limits.video_bytes)
    recognise(source, name=name, wanted=VIDEO_FORMATS)
    # As with pictures: decoders raise anything on hostile bytes, and their text is never shown.
    try:
        listed = listed_frames(source)
        if listed > limits.coded_frames:
            raise MediaError(f"{name}: the clip lists {listed} frames, more than the limit of {limits.coded_frames}")
        times, frames = _keyframes(source, name, limits, max_frames)
    except MediaError:
        raise
    except Exception:
        raise MediaError(f"{name}: the video is damaged or truncated", hint="fetch or export it again") from None
    frames.flags.writeable = False
    return Video(source, source_sha256(source), content_hash(frames, times), frames, times)


def _keyframes(source: bytes, name: str, limits: Limits, max_frames: int) -> tuple[tuple[float, ...], Pixels]:
    with _open(source, limits) as container:
        stream = _video_stream(container, name)
        context = stream.codec_context
        width, height = context.width, context.height
        check_size(width, height, name=name, limits=limits, bytes_per_pixel=_BYTES_PER_PIXEL)
        instants = sorted({p.pts for p in container.demux(stream) if p.is_keyframe and p.size and p.pts is not None})
    if not instants:
        raise MediaError(f"{name}: the clip has no keyframe: it is damaged or truncated")
    room = max(1, limits.clip_pixels // (width * height))
    chosen = {instants[i] for i in _spaced(len(instants), min(max_frames, room))}
    # Read again rather than kept from the first pass: an all-keyframe clip would be held twice.
    with _open(source, limits) as container:
        stream = _video_stream(container, name)
        context = stream.codec_context
        context.thread_count = 1
        pictures = {
            p.pts: _decode(context, p, name)
            for p in container.demux(stream)
            if p.is_keyframe and p.size and p.pts in chosen
        }
        start, base = stream.start_time or 0, stream.time_base or Fraction(1)
    if len({picture.shape for picture in pictures.values()}) > 1:
        raise MediaError(f"{name}: the clip changes its size in the middle", hint="re-encode it")
    shown = sorted(chosen)
    return tuple(float((pts - start) * base) for pts in shown), np.stack([pictures[pts] for pts in shown])


def _open(source: bytes, limits: Limits) -> InputContainer:
    """Opening decodes a first picture to learn about the stream, and the stream may announce a larger one later, so the
    decoder itself is given the limit."""
    pixels = min(limits.pixels, limits.decode_bytes // _BYTES_PER_PIXEL)
    import av

    options = {"max_pixels": str(pixels), "threads": "1"}
    return av.open(io.BytesIO(source), mode="r", format="mov", options=options, metadata_errors="ignore")


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    if not container.streams.video:
        raise MediaError(f"{name}: the file holds no video, only sound or data")
    stream = container.streams.video[0]
    if stream.codec_context.codec.canonical_name not in _CODECS:
        raise MediaError(f"{name}: its video codec is not one of {', '.join(sorted(_CODECS))}", hint="re-encode it")
    return stream


def _decode(context: VideoCodecContext, packet: Packet[VideoStream], name: str) -> Pixels:
    """The one picture of a keyframe, as it would be shown."""
    frames = [*context.decode(packet), *context.decode(None)]
    context.flush_buffers()
    if not frames:
        raise MediaError(f"{name}: a keyframe of the clip is damaged")
    frame = frames[0]
    if frame.width * frame.height > context.width * context.height:
        raise MediaError(f"{name}: the clip changes its size in the middle", hint="re-encode it")
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def _spaced(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices below `count`, evenly spaced, first and last included; the middle one for one."""
    if count <= wanted:
        return list(range(count))
    if wanted == 1:
        return [(count - 1) // 2]
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]
