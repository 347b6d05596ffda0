"""Replies to RefCOCO: JSON or JSONL as Qwen-VL's and InternVL's evaluation programs write them (`answer`, `gt_bbox`,
`hw`), and anything with the same under another name; one file a split, a folder of them, or a column that names it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import SUFFIXES, Row, Value, as_text, read_records
from fourways.benchmarks.predictions.replies import IMAGE_SHA256, REPLY_COLUMNS, check_replies, plain_reply
from fourways.benchmarks.reading.refcoco_tables import SPLITS
from fourways.core.boxes import BoxFormat
from fourways.core.errors import BenchmarkFormatError, UserError
from fourways.core.events import VisualGeometry

DIALECTS: dict[str, BoxFormat] = {
    "qwen-vl": BoxFormat("norm_999", "parentheses"),
    "qwen2-vl": BoxFormat("norm_1000", "parentheses"),
    "qwen2.5-vl": BoxFormat("seen_pixels", "json_bbox_2d"),
    "qwen3-vl": BoxFormat("norm_1000", "json_bbox_2d"),
    "internvl": BoxFormat("norm_1000", "double_brackets"),
    "llava": BoxFormat("padded_square_1", "brackets"),
    "llava-next": BoxFormat("padded_square_1", "brackets"),
}
"""How each family's models write boxes; the facts are those of the families' own declarations."""
_SPACES = ("original_pixels", "seen_pixels", "norm_1", "norm_999", "norm_1000", "padded_square_1")
_SYNTAXES = ("json_bbox_2d", "parentheses", "brackets", "double_brackets")

_REPLIES = ("filtered_resps", *(name for name in REPLY_COLUMNS if name != "text"), "answer", "text")
"""A text beside an answer is the prompt."""
_BOXES = ("gt_bbox", "bbox", "gold", "gt_box", "gt", "target", "ground_truth", "solution")
_CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_SEEN = (
    ("seen", False), ("resized", False), ("seen_size", False), ("resized_size", False), ("input_size", False),
    ("seen_hw", True), ("resized_hw", True), ("input_hw", True),
)  # fmt: skip
"""Column → whether the height is first."""
_SEEN_PAIRS = (("resized_width", "resized_height"), ("input_width", "input_height"), ("seen_width", "seen_height"))
_SPLIT_COLUMNS = ("split", "dataset_name", "dataset", "category")
_LIST = re.compile(r"\s*[\[(]([^\[\]()]{0,200})[\])]\s*")
_TRAILING_DATE = re.compile(r"[_-]\d{6,14}$")


def box_format(word: str) -> BoxFormat:
    """A dialect's format, or `space:syntax`. Raises UserError with those there are."""
    if word in DIALECTS:
        return DIALECTS[word]
    space, _, syntax = word.partition(":")
    found_space = next((name for name in _SPACES if name == space), None)
    found_syntax = next((name for name in _SYNTAXES if name == syntax), None)
    if found_space is None or found_syntax is None:
        raise UserError(
            f"--boxes {word!r} is not known",
            hint=f"one of {', '.join(DIALECTS)}; or SPACE:SYNTAX with {', '.join(_SPACES)} and {', '.join(_SYNTAXES)}",
        )
    return BoxFormat(found_space, found_syntax)  # type: ignore[arg-type]  # members of the two literals


def read_boxes(path: Path, gold: Path | None, boxes: BoxFormat) -> Predictions:
    """Raises BenchmarkFormatError where the format needs the size that the model saw and a row does not tell it."""
    oddities = Oddities()
    answers: list[Answer] = []
    for file in _files(path):
        rows = list(read_records(file, oddities))
        check_replies(file, rows, *_REPLIES)
        truth = [None] * len(rows) if gold is None else _truth(file, gold, len(rows), oddities)
        for number, (row, true) in enumerate(zip(rows, truth, strict=True), 1):
            known = row if true is None else Row(row.where, {**true.cells, **row.cells})
            answer = _answer(file, number, row, known, boxes, oddities)
            if answer is not None:
                answers.append(answer)
    if not answers:
        raise BenchmarkFormatError(
            f"{path}: no row with a true box and a size",
            hint="A row needs answer, gt_bbox [x1, y1, x2, y2] and hw [height, width]; or give --gold.",
        )
    return Predictions("replies with boxes", tuple(answers), oddities, boxes)


def _files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return (path,)
    found = sorted(file for file in path.glob("*") if file.suffix.lower() in SUFFIXES) if path.is_dir() else []
    if not found:
        raise BenchmarkFormatError(f"{path}: no .json or .jsonl file here", hint="Give a split's file of replies.")
    order = {name: place for place, name in enumerate(SPLITS)}
    return sorted(found, key=lambda file: (order.get(split_of(file.stem), len(order)), file.name))


def split_of(stem: str) -> str:
    """The published split that a file's name holds; else the name without a date at its end."""
    held = [name for name in SPLITS if name.lower() in stem.lower()]
    return max(held, key=len) if held else _TRAILING_DATE.sub("", stem)


def _truth(file: Path, gold: Path, rows: int, oddities: Oddities) -> list[Row | None]:
    """The gold rows of the file's split, in their order, which is the order of the replies."""
    source = gold
    if gold.is_dir():
        split = split_of(file.stem)
        named = [one for one in sorted(gold.glob("*.jsonl")) if split_of(one.stem) == split]
        if not named:
            raise BenchmarkFormatError(
                f"{gold}: no file of the split {split}", hint=f"{file.name} needs {split}.jsonl."
            )
        source = named[0]
    found: list[Row | None] = list(read_records(source, oddities, skip=()))
    if len(found) != rows:
        raise BenchmarkFormatError(
            f"{file}: {rows} replies where {source.name} has {len(found)} expressions",
            hint="Replies are matched with the gold file line by line.",
        )
    return found


def _answer(file: Path, number: int, row: Row, known: Row, boxes: BoxFormat, oddities: Oddities) -> Answer | None:
    corners: Value = [known.cells.get(name) for name in _CORNERS]
    gold = next((box for value in (corners, *map(known.cells.get, _BOXES)) if (box := _box(value)) is not None), None)
    size = _size(known)
    if gold is None or size is None:
        oddities.note("row without a true box or without the image's size, left out", row.where)
        return None
    if not (gold[0] < gold[2] and gold[1] < gold[3]):
        oddities.note("true box whose corners are not x1 < x2, y1 < y2 (corner and size?)", row.where)
    seen = _seen(known)
    if boxes.space == "seen_pixels" and seen is None:
        raise BenchmarkFormatError(
            f"{row.where}: boxes in pixels of the resized image need the size that the model saw",
            hint="Add seen [width, height], or resized_width and resized_height, to every row.",
        )
    names = tuple(name for name in _REPLIES if name in row.cells)
    split = next((as_text(known.cells[name]) for name in _SPLIT_COLUMNS if name in known.cells), split_of(file.stem))
    identity = f"{split}/{file.stem}/{number}"
    sample = Sample(
        id=identity,
        group=identity,
        image_key=known.text(IMAGE_SHA256, "image", "image_path", "image_id") or identity,
        image=bytes,
        question=known.text("sent", "question", "expression", "ref") or "",
        gold=gold,
        category=split,
        extra={"width": str(size[0]), "height": str(size[1])},
    )
    visuals = () if seen is None else (VisualGeometry(size, seen, 1, 0, False),)
    return Answer(sample, plain_reply(row, oddities, *names), visuals)


def _box(value: Value) -> tuple[float, float, float, float] | None:
    """[x1, y1, x2, y2], also as [[…]]."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    numbers = _numbers(value)
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None


def _numbers(value: Value) -> list[float]:
    """The finite numbers of a list that holds nothing else, or of its text in a table; empty for anything else."""
    if isinstance(value, str) and (listed := _LIST.fullmatch(value)):
        value = listed[1].split(",")
    if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, (int, float, str)) for v in value):
        return []
    try:
        numbers = [float(v) for v in value]
    except (OverflowError, ValueError):
        return []
    return numbers if all(math.isfinite(v) for v in numbers) else []


def _pair(first: Value, second: Value) -> tuple[int, int] | None:
    numbers = _numbers([first, second])
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 and min(numbers) >= 1 else None


def _size(row: Row) -> tuple[int, int] | None:
    """(width, height) of the image: `hw`, `width` and `height`, or `size` [width, height]."""
    for name, flip in (("hw", True), ("size", False), ("image_size", False)):
        numbers = _numbers(row.cells.get(name))
        if len(numbers) == 2:
            return _pair(numbers[1], numbers[0]) if flip else _pair(numbers[0], numbers[1])
    return _pair(row.cells.get("width"), row.cells.get("height"))


def _seen(row: Row) -> tuple[int, int] | None:
    """(width, height) that the model saw: one column of two numbers, or two columns."""
    for name, flip in _SEEN:
        numbers = _numbers(row.cells.get(name))
        if len(numbers) == 2:
            return _pair(numbers[1], numbers[0]) if flip else _pair(numbers[0], numbers[1])
    pairs = (_pair(row.cells.get(w), row.cells.get(h)) for w, h in _SEEN_PAIRS)
    return next((pair for pair in pairs if pair is not None), None)
