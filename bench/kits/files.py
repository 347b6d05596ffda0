"""One MMBench file of the zoo's held-out scenes, in VLMEvalKit's form and in lmms-eval's, whole or in part."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fourways.zoo import suite
from fourways.zoo.scenes import jpeg, render
from fourways.zoo.suite_files import rotations

CIRCLE = 1_000_000
COLUMNS = (
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category", "comment",
    "split",
)  # fmt: skip
Row = dict[str, str]
Question = list[Row]
"""A question's rows: as it is, then its rotations."""


def questions(count: int, two: int, three: int, seed: int) -> list[Question]:
    """`count` questions on a picture each, so many of them with two and with three options, the others with four."""
    made = []
    for number, (item, _) in enumerate(suite.mmbench(seed, count)):
        options = 2 if number < two else 3 if number < two + three else 4
        right = item.asked.options["ABCD".index(item.asked.answer)]
        kept = tuple(o for o in item.asked.options if o != right)[: options - 1]
        place = number % options
        shown = (*kept[:place], right, *kept[place:])
        image = base64.b64encode(jpeg(render(item.scene))).decode()
        made.append(_rows(item.image, item.asked.question, item.asked.kind, shown, "ABCD"[place], image))
    return sorted(made, key=lambda rows: hash_of(rows[0]["index"]))


def hash_of(index: str) -> int:
    """An order that mixes the numbers of options, the same everywhere."""
    return int(index) * 2654435761 % 2**32


def _rows(index: int, question: str, kind: str, options: tuple[str, ...], answer: str, image: str) -> Question:
    rows = []
    for turn, (shown, right) in enumerate(rotations(options, answer)):
        cells = dict.fromkeys(COLUMNS, "") | dict(zip("ABCD", shown, strict=False))
        cells |= {"index": str(turn * CIRCLE + index), "question": question, "answer": right, "category": kind}
        cells |= {"image": str(index) if turn else image, "source": "fourways zoo", "l2-category": kind, "split": "dev"}
        rows.append(cells)
    return rows


def write_tsv(path: Path, asked: Sequence[Question]) -> Path:
    """VLMEvalKit's form: all base rows, then the copies, whose image cell holds the base index."""
    rows = sorted((row for question in asked for row in question), key=lambda row: int(row["index"]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, asked: Sequence[Question]) -> Path:
    """lmms-eval's form: the image as bytes in every row, `nan` where a cell is empty, the same order."""
    image = {question[0]["index"]: question[0]["image"] for question in asked}
    rows = sorted((row for question in asked for row in question), key=lambda row: int(row["index"]))
    names = {
        name: "L2-category" if name == "l2-category" else name for name in COLUMNS if name not in ("index", "image")
    }
    table = {"index": [int(row["index"]) for row in rows]}
    table |= {new: [row[old] or "nan" for row in rows] for old, new in names.items()}
    table["image"] = [
        {"bytes": base64.b64decode(image[str(int(row["index"]) % CIRCLE)]), "path": "picture.jpg"} for row in rows
    ]
    features: dict[str, dict[str, str]] = {name: {"dtype": "string", "_type": "Value"} for name in names.values()}
    features |= {"index": {"dtype": "int64", "_type": "Value"}, "image": {"_type": "Image"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(pa.table(table).replace_schema_metadata(told), path)
    return path
