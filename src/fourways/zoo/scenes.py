"""The world the embedded models live in: up to four coloured shapes on a shaded ground.

A scene is a pure function of a seed. The picture is a grid of square cells; each quadrant holds at most one
object, in one of its cells. The ground brightens in red from left to right and in blue from top to bottom, so a
patch shows where it lies.

A scene's *description* (layout, cells, colours, shapes; not jitter, noise or size) decides by its hash on which
side of the hold-out it falls: no described scene is ever on both sides.
"""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 30, 36),
    "blue": (34, 58, 214),
    "green": (0, 112, 40),
    "yellow": (250, 226, 10),
    "black": (18, 18, 20),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "cross")
UNSEEN_SHAPE = "star"
"""A shape that the towers have seen and that no language model was ever told the name of: the tuning axis teaches
it.
"""
QUADRANTS: tuple[str, ...] = ("top left", "top right", "bottom left", "bottom right")
LAYOUTS: tuple[tuple[int, int], ...] = ((2, 2), (4, 2), (2, 4), (4, 4))
"""Columns and rows of cells. A cell is 25 to 28 px wide: one visual token in each family."""
LAYOUT_WEIGHTS: tuple[float, ...] = (0.32, 0.29, 0.25, 0.14)
TRAINING_GRAIN = 3.0
"""How noisy the pictures of the training are."""

Split = Literal["train", "held_out"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """One object: ``left`` and ``top`` are its box's corner and ``size`` its side, in cells (1.0 = one cell)."""

    color: str
    shape: str
    quadrant: int
    column: int
    row: int
    left: float
    top: float
    size: float

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """A picture that is not drawn yet: ``columns`` x ``rows`` cells of ``cell`` px, and its things by quadrant.

    ``grain`` is the standard deviation of the noise in each channel, in 8-bit steps.
    """

    columns: int
    rows: int
    cell: int
    things: tuple[Thing, ...]
    noise_seed: int
    grain: float = TRAINING_GRAIN

    @property
    def width(self) -> int:
        return self.columns * self.cell

    @property
    def height(self) -> int:
        return self.rows * self.cell

    @property
    def description(self) -> str:
        """What the hold-out goes by."""
        things = ";".join(f"{t.name}@{t.column},{t.row}" for t in self.things)
        return f"{self.columns}x{self.rows}|{things}"

    @property
    def split(self) -> Split:
        """One described scene in eight is held out of all training."""
        digest = hashlib.sha256(self.description.encode()).digest()
        return "held_out" if digest[0] % 8 == 0 else "train"

    def box_px(self, thing: Thing) -> Box:
        """The thing's box (x1, y1, x2, y2) in px of the picture as drawn."""
        x, y, s = thing.left * self.cell, thing.top * self.cell, thing.size * self.cell
        return x, y, x + s, y + s

    def at(self, quadrant: int) -> Thing | None:
        return next((t for t in self.things if t.quadrant == quadrant), None)


def _draw_scene(rng: random.Random, shapes: tuple[str, ...], need: str | None) -> Scene:
    columns, rows = rng.choices(LAYOUTS, LAYOUT_WEIGHTS)[0]
    pairs = [(c, s) for c in COLORS for s in shapes]
    count = rng.randint(1, 4)
    picked = rng.sample(pairs, count)
    if need is not None and all(s != need for _, s in picked):
        picked[rng.randrange(count)] = (rng.choice(list(COLORS)), need)
    things = []
    for quadrant, (color, shape) in zip(sorted(rng.sample(range(4), count)), picked, strict=True):
        column = (quadrant % 2) * (columns // 2) + rng.randrange(columns // 2)
        row = (quadrant // 2) * (rows // 2) + rng.randrange(rows // 2)
        size = rng.uniform(0.62, 0.78)
        room = 1.0 - size
        left, top = column + room * rng.uniform(0.15, 0.85), row + room * rng.uniform(0.15, 0.85)
        things.append(Thing(color, shape, quadrant, column, row, left, top, size))
    return Scene(columns, rows, rng.randint(25, 28), tuple(things), rng.getrandbits(32))


def sample_scene(
    rng: random.Random, split: Split | None, shapes: tuple[str, ...] = SHAPES, need: str | None = None
) -> Scene:
    """Draw until the scene falls on the wanted side of the hold-out (``None``: either side).

    ``need`` names a shape that at least one thing must have.
    """
    while True:
        scene = _draw_scene(rng, shapes, need)
        if split is None or scene.split == split:
            return scene


def scene(seed: int, split: Split | None = "held_out") -> Scene:
    """The scene of a seed: the same on every machine."""
    return sample_scene(random.Random(f"fourways scene {seed}"), split)


_SCALE = 4


def _star(size: float) -> list[tuple[float, float]]:
    points = []
    for i in range(10):
        radius = size / 2 if i % 2 == 0 else size / 5
        angle = np.pi * (i / 5 - 0.5)
        points.append((size / 2 + radius * float(np.cos(angle)), size / 2 + radius * float(np.sin(angle))))
    return points


def _mask(thing: Thing, cell: int, width: int, height: int) -> Image.Image:
    mask = Image.new("L", (width * _SCALE, height * _SCALE), 0)
    draw = ImageDraw.Draw(mask)
    x, y, s = (v * cell * _SCALE for v in (thing.left, thing.top, thing.size))
    if thing.shape == "circle":
        draw.ellipse((x, y, x + s, y + s), fill=255)
    elif thing.shape == "square":
        draw.rectangle((x, y, x + s, y + s), fill=255)
    elif thing.shape == "triangle":
        draw.polygon([(x + s / 2, y), (x + s, y + s), (x, y + s)], fill=255)
    elif thing.shape == "cross":
        arm = 0.32 * s
        draw.rectangle((x + (s - arm) / 2, y, x + (s + arm) / 2, y + s), fill=255)
        draw.rectangle((x, y + (s - arm) / 2, x + s, y + (s + arm) / 2), fill=255)
    else:
        draw.polygon([(x + px, y + py) for px, py in _star(s)], fill=255)
    return mask.reduce(_SCALE)


def render(scene: Scene) -> Image.Image:
    """Draw the scene: an RGB image of ``scene.width`` x ``scene.height`` px."""
    width, height = scene.width, scene.height
    ground: npt.NDArray[np.floating] = np.empty((height, width, 3), dtype=np.float32)
    ground[..., 0] = np.linspace(120, 250, width, dtype=np.float32)[None, :]
    ground[..., 1] = 190
    ground[..., 2] = np.linspace(120, 250, height, dtype=np.float32)[:, None]
    for thing in scene.things:
        cover = np.asarray(_mask(thing, scene.cell, width, height), dtype=np.float32)[..., None] / 255
        ground = ground * (1 - cover) + np.asarray(COLORS[thing.color], dtype=np.float32) * cover
    noise = np.random.default_rng(scene.noise_seed).normal(0, scene.grain, ground.shape)
    return Image.fromarray(np.clip(ground + noise, 0, 255).round().astype(np.uint8), "RGB")


def jpeg(image: Image.Image) -> bytes:
    """High-quality JPEG bytes (quality 95, no chroma subsampling)."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    """PNG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
