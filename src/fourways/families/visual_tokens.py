"""How many visual tokens, exactly: the sizes and tile layouts that each family's published preprocessing chooses.

Arithmetic alone: no pixels, no weights. A family plans its prompts with the same counters, so the number promised and
the number of placeholders cannot differ. Counts leave out the markers before and after a visual.

Sources: Qwen2-VL, arXiv 2409.12191, section 2.1, as in transformers' `smart_resize` (it clamps a side only when it
shrinks; qwen-vl-utils differs on thin images and can reach zero); LLaVA-NeXT's AnyRes, as in transformers'
`LlavaNextProcessor`; InternVL 1.5, arXiv 2404.16821, section 3.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fourways.core.errors import MediaError
from fourways.core.events import VisualGeometry
from fourways.families.contract import VisualCounter

MAX_ASPECT = 200
"""Qwen-VL refuses longer images."""


def _check_size(width: int, height: int, frames: int = 1) -> None:
    if width < 1 or height < 1 or frames < 1:
        raise MediaError(f"a visual of {width}x{height} pixels and {frames} frame(s) holds nothing to see")


# -- Qwen-VL ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class PixelBounds:
    """The least and the most pixels of a resized image, frame or clip."""

    least: int
    most: int

    def under(self, ceiling: int) -> PixelBounds:
        """These bounds under a lower ceiling, which also lowers the floor where it must."""
        most = min(self.most, ceiling)
        return PixelBounds(min(self.least, most), most)


def smart_resize(
    width: int, height: int, factor: int, bounds: PixelBounds, *, frames: int = 1, frame_step: int = 1
) -> tuple[int, int]:
    """Qwen-VL's resized (width, height), both multiples of `factor`.

    frames, frame_step: for a Qwen3-VL clip, whose bounds hold over all frames, counted in whole steps. Rounding up
    to `factor` may pass the ceiling a little on thin or tiny visuals, as it does in the published code.
    Raises MediaError beyond an aspect ratio of 200.
    """
    _check_size(width, height, frames)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise MediaError(
            f"a visual of {width}x{height} pixels is too thin for Qwen-VL (aspect ratio above {MAX_ASPECT})",
            hint="crop it, or pad its short side",
        )
    w, h = round(width / factor) * factor, round(height / factor) * factor
    rounded = w * h * round(frames / frame_step) * frame_step
    area = frames * height * width
    if rounded > bounds.most:
        shrink = math.sqrt(area / bounds.most)
        w, h = (max(factor, math.floor(side / shrink / factor) * factor) for side in (width, height))
    elif rounded < bounds.least:
        grow = math.sqrt(bounds.least / area)
        w, h = (math.ceil(side * grow / factor) * factor for side in (width, height))
    return w, h


@dataclass(frozen=True, slots=True)
class QwenCounter(VisualCounter):
    """Qwen2-VL and Qwen2.5-VL. factor: pixels of one token's side; a clip's bounds hold for each frame."""

    factor: int
    image_bounds: PixelBounds
    video_bounds: PixelBounds
    frame_step: int = 2

    def steps(self, frames: int) -> int:
        """Frame pairs of a clip; an odd last frame is paired with itself."""
        return -(-frames // self.frame_step)

    def resize_image(self, width: int, height: int, visual_budget: int | None = None) -> tuple[int, int]:
        """The (width, height) that the encoder sees."""
        bounds = self.image_bounds if visual_budget is None else self.image_bounds.under(visual_budget * self.factor**2)
        return smart_resize(width, height, self.factor, bounds)

    def resize_frame(self, width: int, height: int, frames: int, visual_budget: int | None = None) -> tuple[int, int]:
        """The (width, height) of each frame of a clip."""
        bounds = self.video_bounds
        if visual_budget is not None:
            bounds = bounds.under(max(1, visual_budget // self.steps(frames)) * self.factor**2)
        return smart_resize(width, height, self.factor, bounds)

    def image(self, width: int, height: int, visual_budget: int | None = None) -> VisualGeometry:
        seen = self.resize_image(width, height, visual_budget)
        return VisualGeometry((width, height), seen, 1, self._tokens(seen), cached=False)

    def video(self, width: int, height: int, frames: int, visual_budget: int | None = None) -> VisualGeometry:
        _check_size(width, height, frames)
        seen, steps = self.resize_frame(width, height, frames, visual_budget), self.steps(frames)
        return VisualGeometry((width, height), seen, steps, steps * self._tokens(seen), cached=False)

    def _tokens(self, seen: tuple[int, int]) -> int:
        return seen[0] * seen[1] // self.factor**2


@dataclass(frozen=True, slots=True)
class Qwen3Counter(QwenCounter):
    """Qwen3-VL: a clip's bounds hold for all its frames together. Timestamps between frame pairs are text."""

    def resize_frame(self, width: int, height: int, frames: int, visual_budget: int | None = None) -> tuple[int, int]:
        bounds = self.video_bounds
        if visual_budget is not None:
            bounds = bounds.under(visual_budget * self.frame_step * self.factor**2)
        counted = max(frames, self.frame_step)
        return smart_resize(width, height, self.factor, bounds, frames=counted, frame_step=self.frame_step)


# -- LLaVA-NeXT ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class LlavaNextCounter(VisualCounter):
    """AnyRes: a base view, and crops of the image fitted into the best of a few sizes, less the padding.

    pinpoints: (height, width) in pixels, multiples of `tile`. tile, patch: pixels of a tile's and a patch's side.
    A budget leaves out the sizes that cost too much; below the cheapest, only the base view and one newline remain.
    """

    pinpoints: tuple[tuple[int, int], ...]
    tile: int
    patch: int

    @property
    def side(self) -> int:
        """Tokens along a tile's side."""
        return self.tile // self.patch

    def pinpoint(self, width: int, height: int, visual_budget: int | None = None) -> tuple[int, int] | None:
        """The (height, width) that the image is fitted into, or None for the base view alone."""
        _check_size(width, height)
        allowed = [
            p for p in self.pinpoints if visual_budget is None or self._tokens(width, height, p) <= visual_budget
        ]
        return max(allowed, key=lambda p: self._fitness(width, height, p), default=None)

    def unpadded(self, width: int, height: int, pinpoint: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the crops' features that show the image and not its padding."""
        rows, columns = (self.side * (pixels // self.tile) for pixels in pinpoint)
        if width / height > columns / rows:
            kept = int(round(height * (columns / width), 7))
            return rows - 2 * ((rows - kept) // 2), columns
        kept = int(round(width * (rows / height), 7))
        return rows, columns - 2 * ((columns - kept) // 2)

    def image(self, width: int, height: int, visual_budget: int | None = None) -> VisualGeometry:
        pinpoint = self.pinpoint(width, height, visual_budget)
        tokens = self._tokens(width, height, pinpoint)
        if pinpoint is None:
            return VisualGeometry((width, height), (self.tile, self.tile), 1, tokens, cached=False)
        tiles = 1 + (pinpoint[0] // self.tile) * (pinpoint[1] // self.tile)
        return VisualGeometry((width, height), self._fitted(width, height, pinpoint), tiles, tokens, cached=False)

    def video(self, width: int, height: int, frames: int, visual_budget: int | None = None) -> VisualGeometry:
        """A clip is taken as so many images, which share its budget evenly."""
        _check_size(width, height, frames)
        frame = self.image(width, height, None if visual_budget is None else visual_budget // frames)
        return VisualGeometry(
            (width, height), frame.seen, frames * frame.tiles, frames * frame.visual_tokens, cached=False
        )

    def _tokens(self, width: int, height: int, pinpoint: tuple[int, int] | None) -> int:
        base = self.side**2
        if pinpoint is None:
            return base + 1
        rows, columns = self.unpadded(width, height, pinpoint)
        return base + rows * columns + rows

    def _fitness(self, width: int, height: int, pinpoint: tuple[int, int]) -> tuple[int, int]:
        """More of the image's own pixels first, then less padding; the first of equals wins."""
        scale = min(pinpoint[1] / width, pinpoint[0] / height)
        effective = min(int(width * scale) * int(height * scale), width * height)
        return effective, effective - pinpoint[0] * pinpoint[1]

    @staticmethod
    def _fitted(width: int, height: int, pinpoint: tuple[int, int]) -> tuple[int, int]:
        by_width, by_height = pinpoint[1] / width, pinpoint[0] / height
        if by_width < by_height:
            return pinpoint[1], min(math.ceil(height * by_width), pinpoint[0])
        return min(math.ceil(width * by_height), pinpoint[1]), pinpoint[0]


# -- InternVL --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class InternVLCounter(VisualCounter):
    """Dynamic resolution: the grid of tiles closest in aspect ratio, and a thumbnail where there is more than one.

    tile: (width, height) in pixels. tile_tokens: features a tile. The size of the image breaks ties only, so a small
    image may be blown up to many tiles. A budget lowers `max_tiles`, to one tile at the least.
    """

    tile: tuple[int, int]
    tile_tokens: int
    min_tiles: int
    max_tiles: int

    def tile_limit(self, visual_budget: int | None = None) -> int:
        """The most tiles of a grid; the thumbnail comes on top."""
        if visual_budget is None:
            return self.max_tiles
        return max(1, min(self.max_tiles, visual_budget // self.tile_tokens - 1))

    def grid(self, width: int, height: int, visual_budget: int | None = None) -> tuple[int, int]:
        """(columns, rows) of tiles."""
        _check_size(width, height)
        most = self.tile_limit(visual_budget)
        least = min(self.min_tiles, most)
        grids = [(i, j) for i in range(1, most + 1) for j in range(1, most + 1) if least <= i * j <= most]
        best, best_gap = (1, 1), math.inf
        for columns, rows in sorted(grids, key=lambda g: g[0] * g[1]):
            gap = abs(width / height - columns / rows)
            roomy = width * height > 0.5 * self.tile[0] * self.tile[1] * columns * rows
            if gap < best_gap or (gap == best_gap and roomy):
                best, best_gap = (columns, rows), gap
        return best

    def image(self, width: int, height: int, visual_budget: int | None = None) -> VisualGeometry:
        columns, rows = self.grid(width, height, visual_budget)
        tiles = columns * rows + (columns * rows > 1)
        seen = (columns * self.tile[0], rows * self.tile[1])
        return VisualGeometry((width, height), seen, tiles, tiles * self.tile_tokens, cached=False)

    def video(self, width: int, height: int, frames: int, visual_budget: int | None = None) -> VisualGeometry:
        """A frame is one tile, whatever the budget."""
        _check_size(width, height, frames)
        return VisualGeometry((width, height), self.tile, frames, frames * self.tile_tokens, cached=False)
