"""The rules under which boxes are read and scored.

declared: the candidate's declared format and nothing else. qwen-vl and internvl: the patterns and the single-precision
arithmetic of `evaluate_grounding.py` in the repositories QwenLM/Qwen-VL and OpenGVLab/InternVL; under "official" that
of the dialect that --boxes names, where there is one. vlmevalkit: `dataset/refcoco.py`, which guesses the space from
the size of the numbers. lmms-eval: `tasks/refcoco/utils_rec.py` (0.7.3), which takes every box for fractions of the
sides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from fourways.benchmarks.answers.boxes import Box
from fourways.benchmarks.contract import Metric, ReplyContext, Sample
from fourways.benchmarks.predictions.kit import described, under
from fourways.benchmarks.refcoco import THRESHOLD, RefCOCO
from fourways.core.rows import AnswerRow

_NUMBER = r"(?>[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)"
"""Atomic, so that 100 KB of digits are no work: what follows a number is never part of one."""
_GAP = r"(?:\s*,\s*|\s+)"
_BRACKETED = re.compile(rf"\[\s*({_NUMBER}){_GAP}({_NUMBER}){_GAP}({_NUMBER}){_GAP}({_NUMBER})\s*\]")
_ANY_NUMBER = re.compile(_NUMBER)
_FRACTIONS = re.compile(r"\[\s*(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?),\s*(-?\d+(?:\.\d+)?)\s*\]")
_THOUSANDTHS_FROM = 4.0
_FRACTIONS_TO, _THOUSANDTHS_TO = 1.5, 1000.0


def _size(sample: Sample) -> tuple[int, int]:
    return int(sample.extra["width"]), int(sample.extra["height"])


def _floats(texts: tuple[str, ...]) -> Box | None:
    """Four numbers as Python's `float` reads them."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None


def _box(numbers: np.ndarray) -> Box:
    x1, y1, x2, y2 = (float(number) for number in numbers)
    return x1, y1, x2, y2


class _Ruled(RefCOCO):
    """RefCOCO's metrics under a rule's name."""

    rule: str

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        return under(super().metrics(rows), self.rule)


class _SinglePrecision(_Ruled):
    """Boxes and IoU in 32-bit floats, as torch has them in the two programs; a box of no number is wrong."""

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        if not isinstance(parsed, tuple) or len(parsed) != 4 or len(sample.gold) != 4:
            return 0.0
        with np.errstate(all="ignore"):
            a = np.asarray(parsed, dtype=np.float32)
            b = np.asarray([float(v) for v in sample.gold], dtype=np.float32)
            areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
            sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
            inter = sides[0] * sides[1]
            return float(inter / (areas[0] + areas[1] - inter) >= THRESHOLD)


def _corners(reply: str) -> tuple[str, ...]:
    """What the pattern `\\((.*?)\\),\\((.*?)\\)` first finds; empty if nothing. In linear time: in each line only the
    first bracket can begin it."""
    for line in reply.split("\n"):
        first = line.find("(")
        between = line.find("),(", first + 1)
        last = line.find(")", between + 3)
        if first >= 0 and between >= 0 and last >= 0:
            return line[first + 1 : between], line[between + 3 : last]
    return ()


def _bracketed(reply: str) -> tuple[str, ...]:
    """What the pattern `\\[*\\[(.*?),(.*?),(.*?),(.*?)\\]\\]*` first finds; empty if nothing. In linear
    time, as above."""
    for line in reply.split("\n"):
        _, bracket, rest = line.partition("[")
        parts = rest.lstrip("[").split(",", 3)
        if bracket and len(parts) == 4 and "]" in parts[3]:
            return (*parts[:3], parts[3].partition("]")[0])
    return ()


class RefCOCOByQwenVL(_SinglePrecision):
    rule = "qwen-vl"
    definitions: Mapping[str, str] = described(
        RefCOCO.definitions, "qwen-vl", "the first (x1,y1),(x2,y2), in 999ths of the image's sides"
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> Box | None:
        corners = [corner.split(",") for corner in _corners(reply)]
        numbers = _floats((*corners[0], *corners[1])) if [len(corner) for corner in corners] == [2, 2] else None
        if numbers is None:
            return None
        with np.errstate(all="ignore"):
            box = np.asarray(numbers, dtype=np.float64).astype(np.float32) / np.float32(999)
            return _box(box * np.asarray(_size(sample) * 2, dtype=np.float32))


class RefCOCOByInternVL(_SinglePrecision):
    rule = "internvl"
    definitions: Mapping[str, str] = described(
        RefCOCO.definitions,
        "internvl",
        "the first [[x1, y1, x2, y2]], in 1000ths of the sides where its sum is 4 or more",
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> Box | None:
        found = _bracketed(reply)
        numbers = _floats(found) if found else None
        if numbers is None:
            return None
        with np.errstate(all="ignore"):
            box = np.asarray(numbers, dtype=np.float64).astype(np.float32)
            if box.sum() >= _THOUSANDTHS_FROM:
                box = box / np.float32(1000)
            return _box(box * np.asarray(_size(sample) * 2, dtype=np.float32))


class RefCOCOByVLMEvalKit(_Ruled):
    rule = "vlmevalkit"
    definitions: Mapping[str, str] = described(
        RefCOCO.definitions,
        "vlmevalkit",
        "four numbers, taken as fractions up to 1.5, as thousandths up to 1000, else as pixels; clipped to the image",
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> Box | None:
        found = _BRACKETED.search(reply)
        numbers = _floats(found.groups() if found else tuple(_ANY_NUMBER.findall(reply)[:4]))
        if numbers is None:
            return None
        largest = max(abs(number) for number in numbers)
        scale = 1.0 if largest <= _FRACTIONS_TO else 1000.0 if largest <= _THOUSANDTHS_TO else None
        sides = _size(sample) * 2
        pixels = [
            min(max(number if scale is None else number / scale * side, 0.0), float(side))
            for number, side in zip(numbers, sides, strict=True)
        ]
        (x1, x2), (y1, y2) = sorted(pixels[0::2]), sorted(pixels[1::2])
        return x1, y1, x2, y2


class RefCOCOByLmmsEval(_Ruled):
    rule = "lmms-eval"
    definitions: Mapping[str, str] = described(
        RefCOCO.definitions, "lmms-eval", "the first [x1, y1, x2, y2], always fractions of the image's sides"
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> Box | None:
        found = _FRACTIONS.search(reply)
        numbers = None if found is None else _floats(found.groups())
        if numbers is None:
            return None
        width, height = _size(sample)
        return numbers[0] * width, numbers[1] * height, numbers[2] * width, numbers[3] * height
