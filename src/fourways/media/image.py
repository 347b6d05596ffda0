"""One picture: bytes → an upright RGB `Image`."""

from __future__ import annotations

import io
import warnings
from typing import cast

import numpy as np
from PIL import Image as Pil
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from fourways.core.conversation import Image, Pixels
from fourways.core.errors import MediaError
from fourways.media.exif import orientation
from fourways.media.hashing import content_hash, source_sha256
from fourways.media.limits import Limits, check_file_size, check_size
from fourways.media.sniff import IMAGE_FORMATS, recognise

# Pillow's own readers are called directly: `Image.open` would try every registered format, and its limits are global.
_READERS: dict[str, type[ImageFile]] = {"JPEG": JpegImageFile, "PNG": PngImageFile, "WebP": WebPImageFile}
# Peak bytes a pixel while decoding and copying out, measured with Pillow 13 on 4096x4096 pictures (tests hold them).
_BYTES_PER_PIXEL = {"JPEG": 7, "progressive JPEG": 13, "PNG": 7, "WebP": 19}
# Pillow reads the resolution out of EXIF whether asked or not, and warns about each bad tag of a damaged block.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
_STRIP_PIXELS = 1 << 19
_SCANS = 200


def read_image(source: bytes, *, name: str, limits: Limits | None = None) -> Image:
    """A JPEG, PNG or WebP file as it would be seen: EXIF orientation applied, transparency on white, CMYK and palettes
    as RGB, 16 bits scaled to 8, the first frame of an animation. Colour profiles are not applied (the models were
    trained without).

    name: the sample, for messages. Raises MediaError, naming the sample, for anything else or beyond `limits`.
    """
    limits = limits or Limits()
    check_file_size(source, name=name, limit=limits.image_bytes)
    kind = recognise(source, name=name, wanted=IMAGE_FORMATS)
    if kind == "WebP":  # its reader allocates the canvas on opening
        check_size(*_webp_size(source, name), name=name, limits=limits, bytes_per_pixel=_BYTES_PER_PIXEL[kind])
    if kind == "JPEG" and source.count(b"\xff\xda") > _SCANS:  # each costs a pass over the whole picture
        raise MediaError(f"{name}: the JPEG file has more than {_SCANS} passes over the picture: it is made to stall")
    pixels = _decode(source, kind, name, limits)
    pixels.flags.writeable = False
    return Image(source, source_sha256(source), content_hash(pixels), pixels)


def is_plain(source: bytes) -> bool:
    """Whether any decoder shows this file, which `read_image` accepted, as `read_image` does: 8-bit grey or RGB, no
    transparency, no orientation, one frame. Other files should be sent to a server as the pixels that were read."""
    kind = recognise(source, name="image", wanted=IMAGE_FORMATS)
    with _READERS[kind](io.BytesIO(source)) as picture:
        simple = picture.mode in ("1", "L", "RGB", "P") and not picture.has_transparency_data
        if kind == "PNG":  # EXIF may stand after the pixels, unread until they are
            simple = simple and source[24] <= 8 and b"eXIf" not in source
        return simple and _orientation(picture) == 1 and getattr(picture, "n_frames", 1) == 1


def header_size(source: bytes, *, name: str) -> tuple[int, int]:
    """(width, height) as stored, from the header alone, of a JPEG, PNG or WebP file or of its beginning. Raises
    MediaError, naming the sample, where the bytes do not tell."""
    kind = recognise(source, name=name, wanted=IMAGE_FORMATS)
    if kind == "WebP":
        return _webp_size(source, name)
    try:
        with _READERS[kind](io.BytesIO(source)) as picture:
            return picture.size
    except Exception:  # as in _decode: hostile bytes raise anything
        raise MediaError(f"{name}: the {kind} file's header gives no size", hint="fetch or export it again") from None


def _decode(source: bytes, kind: str, name: str, limits: Limits) -> Pixels:
    # A decoder given hostile bytes raises nearly anything (struct.error, KeyError, SyntaxError, …); all of it means
    # that the file is bad, and none of its text may be shown.
    try:
        with _READERS[kind](io.BytesIO(source)) as picture:
            cost = _BYTES_PER_PIXEL["progressive JPEG" if picture.info.get("progressive") else kind]
            check_size(*picture.size, name=name, limits=limits, bytes_per_pixel=cost)
            picture.load()
            if getattr(picture, "default_image", False):  # a PNG's still that is no part of its animation
                picture.seek(1)
                picture.load()
            turned = _orientation(picture)
            if kind == "PNG" and source[24] == 16:
                _scale_key(picture)
            pixels = _rgb(picture)
    except MediaError:
        raise
    except Exception as error:
        early = isinstance(error, EOFError) or "truncat" in str(error).lower() or _cut_short(source, kind)
        what = "ends before the picture does (truncated)" if early else "is damaged"
        raise MediaError(f"{name}: the {kind} file {what}", hint="fetch or export it again") from None
    return _upright(pixels, turned)


def _cut_short(source: bytes, kind: str) -> bool:
    return kind == "WebP" and int.from_bytes(source[4:8], "little") + 8 > len(source)


def _scale_key(picture: ImageFile) -> None:
    """The transparent colour of a 16-bit RGB PNG, in the 8 bits that its pixels were read as."""
    key = picture.info.get("transparency")
    if isinstance(key, tuple):
        picture.info["transparency"] = tuple(v >> 8 for v in key)


def _rgb(picture: ImageFile) -> Pixels:
    """(height, width, 3), converted in strips so that only one copy is ever made."""
    key = picture.info.get("transparency")
    width, height = picture.size
    out = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        out[top : top + rows] = _grey16(strip, key) if strip.mode == "I;16" else _on_white(strip)
    return out


def _on_white(strip: Pil.Image) -> Pixels:
    if not strip.has_transparency_data:
        return np.asarray(strip.convert("RGB"))
    seen = strip.convert("RGBA")
    return np.asarray(Pil.alpha_composite(Pil.new("RGBA", seen.size, "white"), seen).convert("RGB"))


def _grey16(strip: Pil.Image, key: object) -> Pixels:
    deep = np.asarray(strip).astype(np.uint32)
    grey = ((deep * 255 + 32767) // 65535).astype(np.uint8)
    if isinstance(key, int):
        grey[deep == key] = 255
    return np.repeat(grey[:, :, None], 3, axis=2)


def _orientation(picture: ImageFile) -> int:
    block = picture.info.get("exif", b"")
    return orientation(block) if isinstance(block, bytes) else 1


def _upright(pixels: Pixels, turned: int) -> Pixels:
    views = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.transpose(1, 0, 2), 6: pixels[::-1].transpose(1, 0, 2),
        7: pixels[::-1, ::-1].transpose(1, 0, 2), 8: pixels[:, ::-1].transpose(1, 0, 2),
    }  # fmt: skip
    return cast(Pixels, np.ascontiguousarray(views[turned]))


def _webp_size(source: bytes, name: str) -> tuple[int, int]:
    """Width and height from the header (RFC 9649, sections 2.5 to 2.7)."""
    chunk, body = source[12:16], source[20:30]
    if chunk == b"VP8X" and len(body) == 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(body) == 10 and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise MediaError(f"{name}: the WebP file is damaged: its header gives no size", hint="fetch or export it again")
