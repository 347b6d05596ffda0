"""Pictures that nobody has seen, drawn from a number.

A photo is made of brightness at every scale, as natural pictures are (their contrast falls with the frequency; Field,
JOSA A 4, 1987), a slower colour, and grain; a page is dark marks in lines on a light ground, with the grain of a scan.
Integers only, from one fixed generator, so that the pixels are the same on every machine. Every pixel depends on the
number, so that no tile of a photo is a tile of another one, and no cache can know it. (Of a page as JPEG the grain of
the empty margins may be lost: a tile that holds no mark may be another's.)
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil

from fourways.core.conversation import Pixels
from fourways.load.workload.png import png
from fourways.load.workload.spec import Content, Format

Plane = NDArray[np.int16]

_CONTRAST = (5, 7, 10, 14, 19, 25, 33, 44, 56)
"""Greatest change of brightness at the scale of 1, 2, 4, … pixels."""
_COLOUR, _COLOUR_SCALE = 40, 8
_LETTER, _LINE, _GAP, _STROKE, _LINES = 5, 6, 4, 3, 60
"""Of a page: dots across a letter with its gap, of a line's height, between lines, along a stroke; lines."""


def picture(width: int, height: int, number: int, *, content: Content, format: Format, quality: int) -> bytes:
    """A file. number: 64 bits that decide every pixel."""
    noise = _Noise(number)
    pixels = _photo(width, height, noise) if content == "photo" else _page(width, height, noise)
    return png(pixels) if format == "png" else _jpeg(pixels, quality)


def photo(width: int, height: int, number: int) -> Pixels:
    """(height, width, 3), uint8."""
    return _photo(width, height, _Noise(number))


class _Noise:
    """Bytes of PCG-64; NumPy promises the same stream from the same seed for its bit generators (NEP 19)."""

    def __init__(self, number: int) -> None:
        self._source = np.random.PCG64(number)

    def plane(self, height: int, width: int, most: int) -> Plane:
        """Whole numbers in [-most, most), as likely each."""
        raw = np.atleast_1d(self._source.random_raw(-(-height * width // 8))).astype("<u8").view(np.int8)
        return (raw[: height * width].astype(np.int16) * np.int16(most) >> 7).reshape(height, width)


def _photo(width: int, height: int, noise: _Noise) -> Pixels:
    light = _field(width, height, noise, _CONTRAST) + np.int16(128)
    warm, cold = (_smooth(width, height, noise) for _ in range(2))
    pixels = np.empty((height, width, 3), np.uint8)
    for channel, plane in enumerate((light + warm, light - ((warm + cold) >> 1), light + cold)):
        pixels[:, :, channel] = np.clip(plane, 0, 255, out=plane)
    return pixels


def _field(width: int, height: int, noise: _Noise, contrast: tuple[int, ...]) -> Plane:
    """Noise at every scale, the coarsest first; contrast: by scale, the finest first."""
    last = len(contrast) - 1
    plane = noise.plane((height >> last) + 2, (width >> last) + 2, contrast[last])
    for scale in range(last - 1, -1, -1):
        rows, columns = (height >> scale) + 2, (width >> scale) + 2
        plane = _twice(plane)[:rows, :columns] + noise.plane(rows, columns, contrast[scale])
    return plane[:height, :width]


def _smooth(width: int, height: int, noise: _Noise) -> Plane:
    """A slow change of colour, every `_COLOUR_SCALE` pixels a new one on the way."""
    scale = _COLOUR_SCALE.bit_length() - 1
    coarse = _field((width >> scale) + 2, (height >> scale) + 2, noise, (4, 8, 16, _COLOUR))
    return coarse.repeat(_COLOUR_SCALE, 0).repeat(_COLOUR_SCALE, 1)[:height, :width]


def _twice(plane: Plane) -> Plane:
    """Twice the points, those between two being their mean."""
    rows, columns = plane.shape
    wide = np.empty((rows, 2 * columns - 1), np.int16)
    wide[:, ::2] = plane
    wide[:, 1::2] = (plane[:, 1:] + plane[:, :-1]) >> 1
    out = np.empty((2 * rows - 1, 2 * columns - 1), np.int16)
    out[::2] = wide
    out[1::2] = (wide[1:] + wide[:-1]) >> 1
    return out


def _page(width: int, height: int, noise: _Noise) -> Pixels:
    """About sixty lines to a page, of words of a few letters."""
    dot = max(1, round(height / (_LINES * (_LINE + _GAP))))
    rows, columns = -(-height // dot), -(-width // dot)
    marks = (noise.plane(-(-rows // _STROKE), columns, 128) > 10).repeat(_STROKE, 0)[:rows]
    written = noise.plane(-(-rows // (_LINE + _GAP)), -(-columns // _LETTER), 128) > -90
    letters = written.repeat(_LINE + _GAP, 0).repeat(_LETTER, 1)[:rows, :columns]
    upright = (np.arange(rows) % (_LINE + _GAP) < _LINE)[:, None] & (np.arange(columns) % _LETTER < _LETTER - 1)
    left, top = columns // 10, rows // 12
    body = np.zeros((rows, columns), bool)
    body[top : rows - top, left : columns - left] = True
    ink = (marks & letters & upright & body).repeat(dot, 0).repeat(dot, 1)[:height, :width]
    grey = np.where(ink, np.int16(45), np.int16(246)) + noise.plane(height, width, 3)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    """Baseline, 4:2:0, standard tables: what libjpeg-turbo writes does not depend on the processor."""
    out = io.BytesIO()
    Pil.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()
