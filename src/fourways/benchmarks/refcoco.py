"""RefCOCO, RefCOCO+ and RefCOCOg: find the box of what a sentence describes (Yu et al., 2016, arXiv 1608.00272).

Read from the jsonl files that Qwen-VL and InternVL publish: one line an expression, `image`, `sent`, `bbox` (x1, y1,
x2, y2 in pixels), `width`, `height`; from VLMEvalKit's TSV; and from the Hub's parquet (lmms-lab): see
`refcoco_tables`. A reply's box is mapped back by the candidate's declared format and the size that
the model saw; no scale is guessed, and no reading is chosen by looking at the answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from fourways.benchmarks.answers.boxes import STATED, Box, iou, read_box
from fourways.benchmarks.answers.scoring import judged, mean_part
from fourways.benchmarks.contract import Benchmark, Metric, MetricPart, ReplyContext, Sample
from fourways.benchmarks.reading.cells import kept
from fourways.benchmarks.reading.files import data_names, find_below, reader
from fourways.benchmarks.reading.jsonl import decode_lines
from fourways.benchmarks.reading.refcoco_tables import (
    SPLITS,
    check_box,
    parquet_files,
    read_parquet_splits,
    read_tsv_splits,
)
from fourways.core.engine import EngineInfo
from fourways.core.errors import BenchmarkFormatError
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow

THRESHOLD = 0.5

_LOCATE = "Please provide the bounding box coordinate of the region this sentence describes: {}"
_PROMPTS: dict[str, str] = {
    "qwen-vl": "<ref>{}</ref><box>",
    "qwen2.5-vl": "Locate {} in this image and output the bbox coordinates in JSON format.",
    "qwen3-vl": 'Locate every object that matches the description "{}" in the image. '
    "Report bbox coordinates in JSON format.",
    "internvl": _LOCATE.format("<ref>{}</ref>"),
    "generic": f"{_LOCATE}\nAnswer with [x1, y1, x2, y2], whole numbers from 0 to 1000: thousandths of the image's "
    "width and height from its top left corner.",
}


class _Line(msgspec.Struct):
    image: str
    sent: str
    bbox: tuple[float, float, float, float]
    width: int
    height: int


class RefCOCO(Benchmark):
    """Acc@0.5 by split, and its unweighted mean over splits."""

    key: str = "refcoco"
    title: str = "RefCOCO / + / g"
    primary: str = "acc@0.5"
    definitions: Mapping[str, str] = {
        "refcoco_mean_acc50@2": "unweighted mean over the splits there are of refcoco_acc50",
        "refcoco_acc50@2": "expressions whose box has IoU >= 0.5 with the true one / expressions; no box is wrong",
        "refcoco_mean_iou@2": "mean IoU over all expressions, 0 where there is no box",
    }
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def read(self, path: Path) -> Iterator[Sample]:
        if (files := parquet_files(path)) or path.suffix.lower() == ".tsv" or any(path.glob("*.tsv")):
            yield from read_parquet_splits(files) if files else read_tsv_splits(path)
            return
        for file in _files(path):
            yield from _read_split(file)

    def edition(self, path: Path) -> str:
        """ "8 splits" where all the published ones lie there as jsonl; else those that do."""
        there = {name.removesuffix(".jsonl") for name in data_names(path) if name.endswith(".jsonl")}
        found = [split for split in SPLITS if split in there]
        return f"{len(SPLITS)} splits" if len(found) == len(SPLITS) else ", ".join(found)

    def prompt(self, sample: Sample, dialect: str) -> str:
        """Each family's own wording; others get LLaVA's and InternVL's sentence. "generic" (nothing is known of the
        model) is told which numbers to use, because no format is declared for it."""
        return _PROMPTS.get(dialect, _LOCATE).replace("{}", sample.question)

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=128)

    def undefined(self, engine: EngineInfo) -> str | None:
        """Boxes need a declared format (or the prompt that states one), and pixels of the resized image its size."""
        if engine.box_format is None:
            stated = engine.dialect == "generic"
            return None if stated else f"no access: how {engine.dialect} writes boxes there is not known (box_format)"
        if engine.box_format.space == "seen_pixels" and "visual_features" not in engine.capabilities:
            return "no access: boxes are in pixels of the resized image, and the engine does not tell its size"
        return None

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> Box | None:
        """The first box of the reply, in pixels of the original image."""
        original = (int(sample.extra["width"]), int(sample.extra["height"]))
        geometry = context.visuals[0] if context.visuals else None
        return read_box(reply, context.box_format or STATED, geometry, original)

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return float(_overlap(parsed, sample.gold) >= THRESHOLD)

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        splits: dict[str, list[AnswerRow]] = defaultdict(list)
        for row in rows:
            splits[row.category].append(row)
        if not splits:
            return []
        each = tuple(mean_part(group, 1 / len(splits)) for group in splits.values())
        overlaps = tuple(_overlap(row.parsed, row.gold) for row in rows)
        return [
            Metric("acc@0.5", "refcoco_mean_acc50@2", "fraction", 1.0, each, primary=True),
            Metric("mean_iou", "refcoco_mean_iou@2", "fraction", 1.0, (MetricPart(1.0, _images(rows), overlaps),)),
            *(
                Metric("acc@0.5", "refcoco_acc50@2", "fraction", 1.0, (mean_part(group),), labels={"category": name})
                for name, group in sorted(splits.items())
            ),
        ]


def _images(rows: Sequence[AnswerRow]) -> tuple[str, ...]:
    return tuple(row.image for row in rows)


def _overlap(parsed: object, gold: Sequence[str | float]) -> float:
    """IoU; 0 for what could not be read, as the official scripts do with the box (0, 0, 0, 0)."""
    if not isinstance(parsed, (tuple, list)) or len(parsed) != 4 or len(gold) != 4:
        return 0.0
    a, b = [float(v) for v in parsed], [float(v) for v in gold]
    return iou((a[0], a[1], a[2], a[3]), (b[0], b[1], b[2], b[3]))


def _files(path: Path) -> tuple[Path, ...]:
    """The file itself, or the splits of a folder: the published order first, then by name."""
    if path.is_file():
        return (path,)
    order = {name: place for place, name in enumerate(SPLITS)}
    files = sorted(path.glob("*.jsonl"), key=lambda file: (order.get(file.stem, len(order)), file.name))
    if not files:
        raise BenchmarkFormatError(
            f"{path}: no .jsonl file here", hint="Give a split's file such as refcoco_val.jsonl, or the folder of them."
        )
    return tuple(files)


def _read_split(file: Path) -> Iterator[Sample]:
    """Category: the file's name, which is the split's. Images lie below the file's folder, or the one above it."""
    hint = "A line is JSON with image, sent, bbox [x1, y1, x2, y2], width and height."
    for number, where, line in decode_lines(file, msgspec.json.Decoder(_Line), hint):
        yield _sample(file, number, line, where)


def _sample(file: Path, number: int, line: _Line, where: str) -> Sample:
    check_box(line.bbox, (line.width, line.height), where)
    image = find_below((file.parent, file.parent / "images", file.parent.parent), line.image, where)
    name = f"{file.stem}/{number}"
    return Sample(
        id=name,
        group=name,
        image_key=kept(line.image),
        image=reader(image),
        question=line.sent,
        gold=line.bbox,
        category=kept(file.stem),
        extra={"width": str(line.width), "height": str(line.height)},
    )
