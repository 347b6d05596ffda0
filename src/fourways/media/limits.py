"""What a media file may cost. Checked from headers, before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from fourways.core.errors import MediaError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one file.

    image_bytes, video_bytes: size of the file. pixels: width x height of an image or of one video frame.
    decode_bytes: memory that decoding may take; formats differ (a WebP needs nearly three times what a PNG of the same
    size needs), so this bound, not `pixels`, is what protects the process. aspect: longer side over shorter side.
    clip_pixels: pixels of all kept frames of a clip together; large frames are kept in smaller number.
    coded_frames: frames that a clip's tables may list.
    """

    image_bytes: int = 32 * MIB
    video_bytes: int = 256 * MIB
    pixels: int = 32 * MIB
    decode_bytes: int = 192 * MIB
    aspect: float = 200.0
    clip_pixels: int = 32 * MIB
    coded_frames: int = 1_000_000


def check_file_size(source: bytes, *, name: str, limit: int) -> None:
    """Raises MediaError for an empty file and for one of more than `limit` bytes."""
    if not source:
        raise MediaError(f"{name}: the file is empty")
    if len(source) > limit:
        raise MediaError(
            f"{name}: the file has {len(source) / MIB:.1f} MiB, and at most {limit / MIB:.0f} MiB are read",
            hint="store it smaller; models see far less than this",
        )


def check_size(width: int, height: int, *, name: str, limits: Limits, bytes_per_pixel: int) -> None:
    """Raises MediaError where a picture of width x height pixels, decoded at `bytes_per_pixel`, breaks a limit."""
    if width < 1 or height < 1:
        raise MediaError(f"{name}: the header says {width}x{height} pixels: the file is damaged")
    pixels, size = width * height, f"{name}: {width}x{height} pixels"
    if pixels > limits.pixels:
        raise MediaError(f"{size} are more than the limit of {limits.pixels / 1e6:.1f} million", hint="make it smaller")
    if max(width, height) > limits.aspect * min(width, height):
        raise MediaError(f"{size}: one side is more than {limits.aspect:g} times the other", hint="crop it")
    if pixels * bytes_per_pixel > limits.decode_bytes:
        raise MediaError(
            f"{size} need {pixels * bytes_per_pixel / MIB:.0f} MiB to decode, and the limit is "
            f"{limits.decode_bytes / MIB:.0f} MiB",
            hint="make it smaller, or store it as a baseline JPEG or a PNG",
        )
