"""Soft words: what a perfect vision tower would say, one vector per visual token.

A soft word names what a visual token shows: nothing, an empty cell, or an object with its color, shape, quadrant
and box. It is a fixed linear code of width ``WIDTH`` embedded in the language model's space by a fixed matrix. The
language model learns to answer from soft words, with no picture drawn; each tower learns, at the same time, to say
them; then the two are joined and trained together. Both sides see the real arrangement of visual tokens of each
family.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from .prompts import BOX_SPAN, Family, box_numbers
from .scenes import COLORS, SHAPES, UNSEEN_SHAPE, Scene

Floats = npt.NDArray[np.float32]

_COLORS = list(COLORS)
_SHAPES = [*SHAPES, UNSEEN_SHAPE]
_WAVES = (0.5, 1.0, 2.0, 4.0, 8.0)

NOTHING, NEWLINE, EMPTY, OBJECT = 0, 1, 2, 3
COLOR_AT, SHAPE_AT = 4, 4 + len(_COLORS)
QUADRANT_AT = SHAPE_AT + len(_SHAPES)
BOX_AT = QUADRANT_AT + 4
WIDTH = BOX_AT + 4 * 2 * len(_WAVES)
_BOX_GAIN = 0.35


def _flag(index: int) -> Floats:
    word = np.zeros(WIDTH, dtype=np.float32)
    word[index] = 1.0
    return word


def cells(scene: Scene, family: Family) -> Floats:
    """The soft words of the grid: (rows, columns, WIDTH)."""
    grid = np.zeros((scene.rows, scene.columns, WIDTH), dtype=np.float32)
    grid[..., EMPTY] = 1.0
    for thing in scene.things:
        word = _flag(OBJECT)
        word[COLOR_AT + _COLORS.index(thing.color)] = 1.0
        word[SHAPE_AT + _SHAPES.index(thing.shape)] = 1.0
        word[QUADRANT_AT + thing.quadrant] = 1.0
        phases = [2 * math.pi * n / BOX_SPAN[family] * w for n in box_numbers(family, scene, thing) for w in _WAVES]
        word[BOX_AT::2] = _BOX_GAIN * np.cos(phases)
        word[BOX_AT + 1 :: 2] = _BOX_GAIN * np.sin(phases)
        grid[thing.row, thing.column] = word
    return grid


def soft_words(scene: Scene, family: Family) -> Floats:
    """The soft words of a scene in the order of the family's visual tokens: (tokens, WIDTH).

    qwen: cells in reading order. llava: four tokens for the whole picture (nothing), then rows, a newline after
    each. internvl: tiles of 2 x 2 cells in reading order, then a thumbnail of four (nothing) if there is more than
    one tile.
    """
    grid = cells(scene, family)
    nothing = np.tile(_flag(NOTHING), (4, 1))
    if family == "qwen":
        return grid.reshape(-1, WIDTH)
    if family == "llava":
        newline = np.tile(_flag(NEWLINE), (scene.rows, 1, 1))
        return np.concatenate([nothing, np.concatenate([grid, newline], axis=1).reshape(-1, WIDTH)])
    tiles = grid.reshape(scene.rows // 2, 2, scene.columns // 2, 2, WIDTH).transpose(0, 2, 1, 3, 4).reshape(-1, WIDTH)
    return tiles if len(tiles) == 4 else np.concatenate([tiles, nothing])


def embedding(width: int, seed: int = 7) -> torch.Tensor:
    """The fixed matrix (WIDTH, width) that puts soft words into the language model's space: orthonormal rows."""
    generator = torch.Generator().manual_seed(seed)
    orthonormal: torch.Tensor = torch.linalg.qr(torch.randn(width, WIDTH, generator=generator))[0]
    return orthonormal.T.contiguous()
