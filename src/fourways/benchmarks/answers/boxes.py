"""Boxes: between a candidate's declared way of writing them and pixels of the original image. Nothing is guessed.

Every box is (x1, y1, x2, y2). Kits that guess the space from the size of the numbers score a perfect answer near zero:
a Qwen2.5-VL pixel box on a 640 x 480 image, read as thousandths, has an IoU of 0.08 with itself.
"""

from __future__ import annotations

import math
import re

from fourways.core.boxes import BoxFormat, BoxSyntax
from fourways.core.events import VisualGeometry

Box = tuple[float, float, float, float]
Size = tuple[int, int]

STATED = BoxFormat(space="norm_1000", syntax="brackets")
"""What a prompt must ask for where no format is declared (an unknown server)."""

_NUMBER = r"(-?\d{1,12}(?:\.\d{1,12})?)"
_FOUR = rf"\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*"
_PATTERNS: dict[BoxSyntax, re.Pattern[str]] = {
    "json_bbox_2d": re.compile(rf'"bbox_2d"\s*:\s*\[{_FOUR}\]'),
    "parentheses": re.compile(rf"\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)\s*,\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)"),
    "brackets": re.compile(rf"\[{_FOUR}\]"),
    # InternVL's own pattern takes one pair of brackets as well.
    "double_brackets": re.compile(rf"\[{_FOUR}\]"),
}


def find_box(reply: str, syntax: BoxSyntax) -> Box | None:
    """The first box of a reply, in the numbers it was written in, or None. Never raises."""
    found = _PATTERNS[syntax].search(reply)
    if found is None:
        return None
    x1, y1, x2, y2 = (float(number) for number in found.groups())
    return x1, y1, x2, y2


def write_box(box: Box, box_format: BoxFormat, label: str = "") -> str:
    """A box in the space of `box_format` as a reply: whole numbers, or two decimals where 1 is the whole side.

    label is used by the JSON syntax only. This is what a model is trained to say.
    """
    fractional = box_format.space in ("norm_1", "padded_square_1")
    x1, y1, x2, y2 = (f"{value:.2f}" if fractional else f"{value:.0f}" for value in box)
    if box_format.syntax == "json_bbox_2d":
        quoted = label.replace("\\", "\\\\").replace('"', '\\"')
        return f'```json\n[{{"bbox_2d": [{x1}, {y1}, {x2}, {y2}], "label": "{quoted}"}}]\n```'
    if box_format.syntax == "parentheses":
        return f"({x1},{y1}),({x2},{y2})"
    if box_format.syntax == "double_brackets":
        return f"[[{x1}, {y1}, {x2}, {y2}]]"
    return f"[{x1}, {y1}, {x2}, {y2}]"


def render(box: Box, box_format: BoxFormat, original: Size, seen: Size | None = None, label: str = "") -> str:
    """A box in original pixels as a reply of that format; the inverse of `read_box` up to rounding."""
    return write_box(from_pixels(box, box_format, original, seen), box_format, label)


def read_box(reply: str, box_format: BoxFormat, geometry: VisualGeometry | None, original: Size) -> Box | None:
    """The first box of a reply in original pixels, or None: no box there, or its space needs a geometry that is not
    known."""
    box = find_box(reply, box_format.syntax)
    if box is None:
        return None
    if geometry is not None:
        return to_pixels(box, box_format, geometry.original, geometry.seen)
    if box_format.space == "seen_pixels":
        return None
    return to_pixels(box, box_format, original, None)


def to_pixels(box: Box, box_format: BoxFormat, original: Size, seen: Size | None) -> Box:
    """From the declared space to pixels of the original image. Sizes are (width, height), positive.

    Raises ValueError for seen_pixels without `seen`.
    """
    (scale_x, scale_y), (shift_x, shift_y) = _mapping(box_format, original, seen)
    x1, y1, x2, y2 = box
    return x1 * scale_x - shift_x, y1 * scale_y - shift_y, x2 * scale_x - shift_x, y2 * scale_y - shift_y


def from_pixels(box: Box, box_format: BoxFormat, original: Size, seen: Size | None = None) -> Box:
    """From pixels of the original image to the declared space; the inverse of `to_pixels`."""
    (scale_x, scale_y), (shift_x, shift_y) = _mapping(box_format, original, seen)
    x1, y1, x2, y2 = box
    return (x1 + shift_x) / scale_x, (y1 + shift_y) / scale_y, (x2 + shift_x) / scale_x, (y2 + shift_y) / scale_y


def _mapping(
    box_format: BoxFormat, original: Size, seen: Size | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(scale, shift) by axis, with original = declared x scale - shift."""
    width, height = original
    if box_format.space == "original_pixels":
        return (1.0, 1.0), (0.0, 0.0)
    if box_format.space == "seen_pixels":
        if seen is None:
            raise ValueError("boxes in seen pixels need the size that the model saw")
        return (width / seen[0], height / seen[1]), (0.0, 0.0)
    if box_format.space == "padded_square_1":
        side = max(width, height)
        return (float(side), float(side)), ((side - width) / 2, (side - height) / 2)
    unit = {"norm_1": 1, "norm_999": 999, "norm_1000": 1000}[box_format.space]
    return (width / unit, height / unit), (0.0, 0.0)


def iou(first: Box, second: Box) -> float:
    """Intersection over union in [0, 1], areas without the +1 of integer boxes; 0 for a box without area."""
    areas = [max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) for b in (first, second)]
    wide = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    high = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    union = areas[0] + areas[1] - wide * high
    if min(areas) <= 0 or not math.isfinite(union):
        return 0.0
    return min(1.0, wide * high / union)
