"""A row of the accuracy axis as the kits' tables have it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fourways.benchmarks.answered import sample_of
from fourways.benchmarks.predictions.boxes import box_word
from fourways.benchmarks.predictions.replies import IMAGE_SHA256
from fourways.benchmarks.predictions.workbook import Cell
from fourways.core.boxes import BoxFormat
from fourways.core.rows import AnswerRow

_YES_NO = ("mme", "pope")


def kit_columns(key: str, rows: Sequence[AnswerRow], boxes: BoxFormat | None) -> list[str]:
    """VLMEvalKit's, in its order: those that any row fills."""
    letters = sorted({letter for row in rows for letter in sample_of(row).options})
    order = ["index", "split", "question", *letters, "answer", "category", "l2-category", "image_path"]
    order += ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "width", "height", "resized_width", "resized_height", "boxes"]
    order += ["g_index", "group", IMAGE_SHA256, "prediction"]
    filled = {name for row in rows for name, value in kit_row(key, row, boxes).items() if value is not None}
    return [name for name in order if name in filled or name in ("index", "prediction")]


def kit_row(key: str, row: AnswerRow, boxes: BoxFormat | None) -> dict[str, Cell]:
    """Column → value. boxes: how the candidate writes them, for whoever scores
    the table. A table of MME names an image by its group, so that its two questions are found together."""
    sample = sample_of(row)
    cells: dict[str, Cell] = {
        "index": int(row.sample) if row.sample.isdecimal() and len(row.sample) < 16 else row.sample,
        "question": row.question,
        "answer": _answer(key, row),
        "category": row.category or None,
        "l2-category": row.extra.get("l2_category"),
        "prediction": row.reply,
        IMAGE_SHA256: row.image,
        **sample.options,
    }
    if key == "mme":
        cells["image_path"] = row.group
    if key in ("mmbench_en", "mmbench_cn") and row.group.isdecimal():
        cells["g_index"] = int(row.group)
    if key.startswith("choice:") and row.group != row.sample:
        cells["group"] = row.group
    if key == "refcoco":
        cells |= _box_cells(row)
        cells["boxes"] = None if boxes is None else box_word(boxes)
    return cells


def _answer(key: str, row: AnswerRow) -> str | None:
    if not row.gold:
        return None
    if key in _YES_NO or key.startswith("yes_no:"):
        return str(row.gold[0]).capitalize()
    return str(row.gold[0]) if len(row.gold) == 1 else json.dumps(list(row.gold), ensure_ascii=False)


def _box_cells(row: AnswerRow) -> dict[str, Cell]:
    """Numbers as text, in full precision."""
    corners = dict(zip(("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), map(str, row.gold), strict=False))
    seen = row.visuals[0].seen if row.visuals else None
    return {
        **corners,
        "answer": json.dumps(list(row.gold)),
        "split": row.category,
        "category": None,
        "width": row.extra.get("width"),
        "height": row.extra.get("height"),
        "resized_width": None if seen is None else seen[0],
        "resized_height": None if seen is None else seen[1],
    }


def submission_row(row: AnswerRow) -> dict[str, Cell]:
    """What MMBench's server takes: index, question, A to D and the prediction as it was said."""
    options = sample_of(row).options
    index: Cell = int(row.sample) if row.sample.isdecimal() and len(row.sample) < 16 else row.sample
    named: dict[str, Cell] = {letter: options.get(letter) for letter in "ABCD"}
    return {"index": index, "question": row.question, **named, "prediction": row.reply}
