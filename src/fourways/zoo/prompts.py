"""How each family is asked and how it replies in training: the benchmarks' own prompts, so that what is learned is what
is asked, and the box syntaxes of the families' own repositories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Sample

from .scenes import Box, Scene, Thing
from .words import LETTERS

Family = Literal["qwen", "llava", "internvl"]
FAMILIES: tuple[Family, ...] = ("qwen", "llava", "internvl")

DIALECTS: dict[Family, str] = {"qwen": "qwen2.5-vl", "llava": "llava-next", "internvl": "internvl"}

IMAGE_MARK = "\0"
"""Stands for an image's visual tokens until their number is known."""
OPEN_CLOSE: dict[Family, tuple[str, str, str]] = {
    "qwen": ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>"),
    "llava": ("", "<image>", "\n"),
    "internvl": ("<img>", "<IMG_CONTEXT>", "</img>\n"),
}
"""What stands before, at and after an image's tokens; the middle one is repeated, once per visual token."""


def turn(family: Family, text: str) -> str:
    """One user turn with the image first, as the family's chat template renders it, up to the reply."""
    opening, _, closing = OPEN_CLOSE[family]
    return f"<|im_start|>user\n{opening}{IMAGE_MARK}{closing}{text}<|im_end|>\n<|im_start|>assistant\n"


def benchmark_prompt(key: str, family: Family, question: str, options: Sequence[str]) -> str:
    """The text that follows the image when this benchmark asks this family."""
    asked = Sample(
        id="",
        group="",
        image_key="",
        image=bytes,
        question=question,
        gold=(),
        options=dict(zip(LETTERS, options, strict=False)),
        language="zh" if key == "mmbench_cn" else "en",
    )
    return registry.get(key).prompt(asked, DIALECTS[family])


def box_numbers(family: Family, scene: Scene, thing: Thing) -> tuple[int, int, int, int]:
    """The thing's box in the family's own space, on the grid that the zoo speaks.

    qwen: px of the resized picture (28 px a cell), even numbers; internvl: thousandths of width and height, in
    steps of 20; llava: hundredths of the padded square's side, in steps of 2.
    """
    x1, y1, x2, y2 = thing.left, thing.top, thing.left + thing.size, thing.top + thing.size
    columns, rows = scene.columns, scene.rows

    def grid(value: float, span: float, scale: int, step: int) -> int:
        return max(0, min(scale // step, round(value / span * scale / step))) * step

    if family == "qwen":
        return (
            grid(x1, columns, 28 * columns, 2),
            grid(y1, rows, 28 * rows, 2),
            grid(x2, columns, 28 * columns, 2),
            grid(y2, rows, 28 * rows, 2),
        )
    if family == "internvl":
        return (
            grid(x1, columns, 1000, 20),
            grid(y1, rows, 1000, 20),
            grid(x2, columns, 1000, 20),
            grid(y2, rows, 1000, 20),
        )
    side = max(columns, rows)
    dx, dy = (side - columns) / 2, (side - rows) / 2
    return (
        grid(x1 + dx, side, 100, 2),
        grid(y1 + dy, side, 100, 2),
        grid(x2 + dx, side, 100, 2),
        grid(y2 + dy, side, 100, 2),
    )


BOX_SPAN: dict[Family, int] = {"qwen": 112, "internvl": 1000, "llava": 100}
"""The largest coordinate each family can say here."""


def box_text(family: Family, numbers: tuple[int, int, int, int]) -> str:
    """The four numbers as the family writes them."""
    return ", ".join(f"{n / 100:.2f}" if family == "llava" else str(n) for n in numbers)


def box_reply(family: Family, label: str, numbers: tuple[int, int, int, int]) -> str:
    """The whole reply with its box."""
    listed = box_text(family, numbers)
    if family == "qwen":
        return f'```json\n[{{"bbox_2d": [{listed}], "label": "{label}"}}]\n```'
    return f"<box>[[{listed}]]</box>" if family == "internvl" else f"[{listed}]"


def parse_box(family: Family, reply: str, scene: Scene) -> Box | None:
    """A reply's box in px of the picture as drawn, or ``None``: the recipe's own check, not a benchmark's parser."""
    import re

    found = re.search(r"\[\[?(\d[\d.]*), (\d[\d.]*), (\d[\d.]*), (\d[\d.]*)\]", reply)
    if found is None:
        return None
    numbers = [float(v) for v in found.groups()]
    columns, rows, cell = scene.columns, scene.rows, scene.cell
    if family == "qwen":
        cells = [v / 28 for v in numbers]
    elif family == "internvl":
        cells = [v / 1000 * (columns, rows)[i % 2] for i, v in enumerate(numbers)]
    else:
        side = max(columns, rows)
        cells = [v * side - (side - (columns, rows)[i % 2]) / 2 for i, v in enumerate(numbers)]
    x1, y1, x2, y2 = (v * cell for v in cells)
    return x1, y1, x2, y2
