"""How a model writes a bounding box: a declared contract, never guessed from the answer."""

from __future__ import annotations

from typing import Literal

import msgspec

BoxSpace = Literal["original_pixels", "seen_pixels", "norm_1", "norm_999", "norm_1000", "padded_square_1"]
BoxSyntax = Literal["json_bbox_2d", "parentheses", "brackets", "double_brackets"]


class BoxFormat(msgspec.Struct, frozen=True):
    """space: what the four numbers (x1, y1, x2, y2) are measured in. syntax: how they stand in the reply.

    seen_pixels: pixels of the resized image (`VisualGeometry.seen`). padded_square_1: 0–1 of the image padded to a
    centred square. Syntax: json_bbox_2d `{"bbox_2d": [..]}`; parentheses `(x1,y1),(x2,y2)`; brackets `[..]`;
    double_brackets `[[..]]`.
    """

    space: BoxSpace
    syntax: BoxSyntax
