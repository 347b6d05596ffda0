"""A picture small enough to stand in a page: decoded, shrunk and written anew, so that no metadata travels with it."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP")
"""Those that the runs themselves read. Pillow would also hand PostScript to a program of the system's."""
SIDE = 320
MOST_PIXELS = 60_000_000
SMALL = 160


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """width, height: of the original, upright, in pixels: boxes are drawn in these."""

    data_url: str
    width: int
    height: int


def thumbnail(source: bytes) -> Thumbnail | None:
    """At most 320 px a side; None if the bytes cannot be shown: a damaged file can make a decoder raise anything, and
    a page must not be lost to one picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _shrink(source)
    except Exception:
        return None


def _shrink(source: bytes) -> Thumbnail | None:
    with Image.open(io.BytesIO(source), formats=FORMATS) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            return None
        upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith("I"):  # 16-bit grey, which would be cut off at 255
            upright = Image.fromarray((np.asarray(upright, dtype=np.uint32) >> 8).astype(np.uint8))
        width, height = upright.size
        upright.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        small = Image.new("RGB", upright.size, "white")
        small.paste(upright.convert("RGBA"), mask=upright.convert("RGBA"))
    packed = io.BytesIO()
    if max(small.size) <= SMALL:
        small.save(packed, "PNG", optimize=True)
        kind = "png"
    else:
        small.save(packed, "JPEG", quality=78, optimize=True)
        kind = "jpeg"
    return Thumbnail(f"data:image/{kind};base64,{base64.b64encode(packed.getvalue()).decode()}", width, height)
