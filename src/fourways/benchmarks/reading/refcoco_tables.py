"""RefCOCO's expressions in tables: VLMEvalKit's TSV, and the parquet of lmms-lab (RefCOCO, RefCOCOplus, RefCOCOg)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from fourways.benchmarks.answers.boxes import Box, Size
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.reading.records import Record, shown, texts_of
from fourways.benchmarks.reading.tables import SHARD, read_table
from fourways.core.errors import BenchmarkFormatError

SPLITS = (
    "refcoco_val", "refcoco_testA", "refcoco_testB", "refcoco+_val", "refcoco+_testA", "refcoco+_testB",
    "refcocog_val", "refcocog_test",
)  # fmt: skip
"""The eight splits of the published averages."""
_BY_LETTERS = {re.sub(r"[_\s-]", "", name.lower()): name for name in SPLITS}

_CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_SET = re.compile(r"(?i)refcoco(?P<which>plus|\+|g)?(?![a-z])")


def check_box(box: Sequence[float], size: Size, where: str) -> None:
    """Raises BenchmarkFormatError for what is no box of pixels in an image of that size."""
    x1, y1, x2, y2 = box
    width, height = size
    if not (0 <= x1 < x2 < float("inf") and 0 <= y1 < y2 < float("inf") and width > 0 and height > 0):
        raise BenchmarkFormatError(
            f"{where}: bbox {list(box)} of a {width} x {height} image is not x1 < x2, y1 < y2",
            hint="Boxes are corners in pixels, not corner and size.",
        )


# -- VLMEvalKit's TSV -------------------------------------------------------------------------------------------------


def read_tsv_splits(path: Path) -> Iterator[Sample]:
    """index, image, question, split or category ("RefCOCO+ test-A"); the box as bbox_x1 … bbox_y2 in pixels with width
    and height, or as `answer`, four fractions of the image's sides. The published file has the prompt of InternVL in
    `question`; what stands in its <ref> is the expression."""
    for record in read_table(path, ("index", "question"), identity=("split", "category", "index")):
        split = _split(record)
        box, size = _corners(record) if _CORNERS[0] in record.cells else _fractions(record)
        check_box(box, size, record.where)
        yield _sample(f"{split}/{record.need('index')}", split, _expression(record), box, size, record)


def _expression(record: Record) -> str:
    question = record.need("question")
    _, opened, after = question.partition("<ref>")
    inside, closed, _ = after.partition("</ref>")
    return inside if opened and closed else question


def _split(record: Record) -> str:
    """The split's published name where it is one of the eight, however it is written; else as it is."""
    written = record.first("split", "category")
    if not written:
        raise BenchmarkFormatError(
            f"{record.where}: neither column 'split' nor 'category' says which split it is", hint="Fill one of them."
        )
    return _BY_LETTERS.get(re.sub(r"[_\s-]", "", written.lower()), written)


def _corners(record: Record) -> tuple[Box, Size]:
    x1, y1, x2, y2 = (record.number(name) for name in _CORNERS)
    if "width" in record.cells and "height" in record.cells:
        return (x1, y1, x2, y2), (int(record.number("width")), int(record.number("height")))
    return (x1, y1, x2, y2), _size(record)


def _fractions(record: Record) -> tuple[Box, Size]:
    numbers = record.need("answer").strip().removeprefix("[").removesuffix("]").split(",")
    try:
        x1, y1, x2, y2 = (float(number) for number in numbers)
    except ValueError:
        raise BenchmarkFormatError(
            f"{record.where}: column 'answer' is {shown(record.cells['answer'])}, not [x1, y1, x2, y2]",
            hint="Give the box as fractions of the sides there, or as bbox_x1 … bbox_y2 in pixels.",
        ) from None
    if not all(0 <= value <= 1 for value in (x1, y1, x2, y2)):
        raise BenchmarkFormatError(
            f"{record.where}: column 'answer' is {shown(record.cells['answer'])}, not fractions of the image's sides",
            hint="Give boxes in pixels as bbox_x1, bbox_y1, bbox_x2 and bbox_y2.",
        )
    width, height = _size(record)
    return (x1 * width, y1 * height, x2 * width, y2 * height), (width, height)


# -- the Hub's parquet ------------------------------------------------------------------------------------------------


def parquet_files(path: Path) -> tuple[Path, ...]:
    """The parquet files at `path`: itself, or those in the folder and in the folders below it."""
    if path.is_file():
        return (path,) if path.suffix.lower() == ".parquet" else ()
    return tuple(sorted(path.rglob("*.parquet")))


def read_parquet_splits(files: Sequence[Path]) -> Iterator[Sample]:
    """One row an object: `answer` is the list of sentences about it, each a sample of its own; `bbox` is x, y, width,
    height in pixels. The set is told by a folder (or file) named RefCOCO, RefCOCOplus or RefCOCOg, the split by the
    file's name."""
    for file in files:
        split = _parquet_split(file)
        for number, record in enumerate(read_table(file, ("answer", "bbox"), lists=("answer", "bbox")), 1):
            size = _size(record)
            box = _from_xywh(record)
            check_box(box, size, record.where)
            sentences = texts_of(record.nested.get("answer"))
            if not sentences:
                raise BenchmarkFormatError(
                    f"{record.where}: column 'answer' is no list of sentences", hint="Fetch the data set again."
                )
            for place, sentence in enumerate(sentences, 1):
                yield _sample(f"{split}/{file.stem}/{number}/{place}", split, sentence, box, size, record)


def _parquet_split(file: Path) -> str:
    """The published name; but lmms-lab's RefCOCO `val` and `test` are not the published ones (8,811 objects are 3,811
    of that split and 5,000 of another), and keep a name of their own."""
    shard = SHARD.fullmatch(file.name)
    part = shard["split"] if shard else file.stem
    parts = (file.stem, *(parent.name for parent in file.parents))
    found = next((match for name in parts if (match := _SET.search(name))), None)
    if found is None:
        raise BenchmarkFormatError(
            f"{file}: neither it nor a folder above it is named RefCOCO, RefCOCOplus or RefCOCOg",
            hint="Keep each data set in a folder of its name: the files do not say which it is.",
        )
    which = {"plus": "+", "+": "+", "g": "g"}.get((found["which"] or "").lower(), "")
    if not which and part in ("val", "test"):
        return f"lmms-lab_refcoco_{part}"
    return f"refcoco{which}_{part}"


def _from_xywh(record: Record) -> Box:
    numbers = record.nested.get("bbox")
    if not isinstance(numbers, list) or len(numbers) != 4 or not all(isinstance(n, (int, float)) for n in numbers):
        raise BenchmarkFormatError(
            f"{record.where}: column 'bbox' is not x, y, width, height", hint="Fetch the data set again."
        )
    x, y, width, height = (float(number) for number in numbers)
    return x, y, x + width, y + height


def _size(record: Record) -> Size:
    """(width, height) from the image's header."""
    try:
        with Image.open(io.BytesIO(record.image())) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BenchmarkFormatError(
            f"{record.where}: the image's size cannot be read ({error})", hint="Fetch the file again."
        ) from error


def _sample(id: str, split: str, sentence: str, box: Box, size: Size, record: Record) -> Sample:
    return Sample(
        id=id,
        group=id,
        image_key=record.image_key,
        image=record.image,
        question=sentence,
        gold=box,
        category=split,
        extra={"width": str(size[0]), "height": str(size[1])},
    )
