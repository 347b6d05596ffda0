"""Replies to RefCOCO: JSON or JSONL as Qwen-VL's and InternVL's evaluation programs write them (`answer`, `gt_bbox`,
`hw`), and anything with the same under another name; one file a split, a folder of them, or a column that names it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from fourways.benchmarks.answers.boxes import Box, Size
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.predictions.found import Answer, Oddities, Predictions
from fourways.benchmarks.predictions.records import SUFFIXES, Row, Value, as_text, read_records
from fourways.benchmarks.predictions.replies import IMAGE_SHA256, REPLY_COLUMNS, check_replies, plain_reply
from fourways.benchmarks.reading.refcoco_tables import SPLITS
from fourways.core.boxes import BoxFormat, BoxSpace, BoxSyntax
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
_BOXES = ("gt_bbox", "gt_box", "gold", "gt", "target", "ground_truth", "solution", "bbox")
"""A bbox beside one of the others is what was read from the reply."""
_CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_TRUTHS = (*_BOXES[:-1], *_CORNERS, "sent", "image")
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


def box_word(boxes: BoxFormat) -> str:
    """What `box_format` reads as this format, and our own exports say in the column `boxes`."""
    return f"{boxes.space}:{boxes.syntax}"


def read_boxes(path: Path, gold: Path | None, boxes: BoxFormat | None) -> Predictions:
    """boxes: None for what the rows themselves say, as our own exports do. Raises UserError where they do not, and
    BenchmarkFormatError where the format needs the size that the model saw and a row does not tell it."""
    oddities = Oddities()
    answers: list[Answer] = []
    held = {file: list(read_records(file, oddities)) for file in _files(path)}
    boxes = _format(held, boxes, oddities)
    _check_once(path, held)
    for file, rows in held.items():
        check_replies(file, rows, *_REPLIES)
        truth = rows if gold is None else _truth(file, gold, len(rows), oddities)
        for number, (row, true) in enumerate(zip(rows, truth, strict=True), 1):
            _compare(row, true, oddities)
            answer = _answer(file, number, row, true, boxes, oddities)
            if answer is not None:
                answers.append(answer)
    if not answers:
        raise BenchmarkFormatError(
            f"{path}: no row with a true box and a size",
            hint="A row needs answer, gt_bbox [x1, y1, x2, y2] and hw [height, width]; or give --gold.",
        )
    return Predictions("replies with boxes", tuple(answers), oddities, boxes)


def _format(held: Mapping[Path, Sequence[Row]], named: BoxFormat | None, oddities: Oddities) -> BoxFormat:
    known = {box_word(BoxFormat(space, syntax)) for space in get_args(BoxSpace) for syntax in get_args(BoxSyntax)}
    told: dict[str, str] = {}
    for row in (row for rows in held.values() for row in rows):
        if (word := row.text("boxes")) in known and word is not None:
            told.setdefault(word, row.where)
    if named is None and len(told) == 1:
        return box_format(next(iter(told)))
    if named is None:
        raise UserError(
            f"replies with boxes need --boxes; the files say {' and '.join(told) or 'nothing of it'}",
            hint=f"say how this model writes them: {', '.join(DIALECTS)}, or SPACE:SYNTAX (docs/score.md)",
        )
    for word, where in told.items():
        if word != box_word(named):
            oddities.note(f"file that says its boxes are {word}, read as {box_word(named)}, which --boxes names", where)
    return named


def _check_once(path: Path, held: Mapping[Path, Sequence[Row]]) -> None:
    """Raises BenchmarkFormatError where two files answer the same expressions: they would count twice."""
    seen: dict[str, Path] = {}
    for file, rows in held.items():
        told = [[as_text(row.cells[name]) for name in _TRUTHS if name in row.cells] for row in rows]
        for key in (_TRAILING_DATE.sub("", file.stem), f"{split_of(file.stem)}: {told}" if any(told) else file.name):
            if (other := seen.setdefault(key, file)) != file:
                raise BenchmarkFormatError(
                    f"{path}: {other.name} and {file.name} answer the same split, which would count twice",
                    hint="Name one of them, or keep them in folders of their own.",
                )


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


def _truth(file: Path, gold: Path, rows: int, oddities: Oddities) -> list[Row]:
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
    found = list(read_records(source, oddities))
    if len(found) != rows:
        raise BenchmarkFormatError(
            f"{file}: {rows} replies where {source.name} has {len(found)} expressions",
            hint="Replies are matched with the gold file line by line.",
        )
    return found


def _compare(row: Row, true: Row, oddities: Oddities) -> None:
    """Counts what tells that the reply and the gold file's line are about two expressions."""
    for name in ("sent", "image"):
        said, meant = (as_text(one.cells.get(name, "")).strip().lower() for one in (row, true))
        if said and meant and Path(said).name != Path(meant).name:
            oddities.note(f"reply whose {name} is not that of the gold file's line (another order?)", row.where)


def _answer(file: Path, number: int, row: Row, true: Row, boxes: BoxFormat, oddities: Oddities) -> Answer | None:
    """true: the gold file's line, which goes before what stands beside the reply; the row itself without such a
    file."""
    gold = _gold_box(true) or _gold_box(row)
    size = _size(true) or _size(row)
    if gold is None or size is None:
        oddities.note("row without a true box or without the image's size, left out", row.where)
        return None
    if not (gold[0] < gold[2] and gold[1] < gold[3]):
        oddities.note("true box whose corners are not x1 < x2, y1 < y2 (corner and size?)", row.where)
    seen = _seen(row) or _seen(true)
    if boxes.space == "seen_pixels" and seen is None:
        raise BenchmarkFormatError(
            f"{row.where}: boxes in pixels of the resized image need the size that the model saw",
            hint="Add seen [width, height], or resized_width and resized_height, to every row.",
        )
    visuals = () if seen is None else (VisualGeometry(size, seen, 1, 0, False),)
    sample = _sample(file, number, Row(row.where, {**row.cells, **true.cells}), gold, size)
    if sample.image_key == sample.id:
        oddities.note("row that does not name its image, taken for one of its own: intervals are too narrow", row.where)
    return Answer(sample, plain_reply(row, oddities, *(name for name in _REPLIES if name in row.cells)), visuals)


def _sample(file: Path, number: int, known: Row, gold: Box, size: Size) -> Sample:
    split = next((as_text(known.cells[name]) for name in _SPLIT_COLUMNS if name in known.cells), split_of(file.stem))
    identity = f"{split}/{file.stem}/{number}"
    return Sample(
        id=identity,
        group=identity,
        image_key=known.text(IMAGE_SHA256, "image", "image_path", "image_id") or identity,
        image=bytes,
        question=known.text("sent", "question", "expression", "ref") or "",
        gold=gold,
        category=split,
        extra={"width": str(size[0]), "height": str(size[1])},
    )


def _gold_box(row: Row) -> Box | None:
    corners: Value = [row.cells.get(name) for name in _CORNERS]
    values = (corners, *map(row.cells.get, _BOXES))
    return next((box for value in values if (box := _box(value)) is not None), None)


def _box(value: Value) -> Box | None:
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


def _pair(first: Value, second: Value) -> Size | None:
    numbers = _numbers([first, second])
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 and min(numbers) >= 1 else None


def _size(row: Row) -> Size | None:
    """(width, height) of the image: `hw`, `width` and `height`, or `size` [width, height]."""
    for name, flip in (("hw", True), ("size", False), ("image_size", False)):
        numbers = _numbers(row.cells.get(name))
        if len(numbers) == 2:
            return _pair(numbers[1], numbers[0]) if flip else _pair(numbers[0], numbers[1])
    return _pair(row.cells.get("width"), row.cells.get("height"))


def _seen(row: Row) -> Size | None:
    """(width, height) that the model saw: one column of two numbers, or two columns."""
    for name, flip in _SEEN:
        numbers = _numbers(row.cells.get(name))
        if len(numbers) == 2:
            return _pair(numbers[1], numbers[0]) if flip else _pair(numbers[0], numbers[1])
    pairs = (_pair(row.cells.get(w), row.cells.get(h)) for w, h in _SEEN_PAIRS)
    return next((pair for pair in pairs if pair is not None), None)
