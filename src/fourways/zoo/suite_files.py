"""The suite on disk, in the benchmarks' official file formats. Same seed, same bytes."""

from __future__ import annotations

import base64
import csv
import json
import random
from pathlib import Path
from typing import Any

from . import suite
from .questions import Asked
from .scenes import Scene, jpeg, png, render
from .words import LETTERS

_MMBENCH_COLUMNS = (
    "index",
    "question",
    "hint",
    *LETTERS,
    "answer",
    "category",
    "image",
    "source",
    "l2-category",
    "comment",
    "split",
)
_CATEGORY = {
    "count": "object_localization",
    "where": "object_localization",
    "color_of": "attribute_recognition",
    "shape_of": "attribute_recognition",
    "color_at": "spatial_relationship",
    "shape_at": "spatial_relationship",
}
_L2 = {
    "object_localization": "finegrained_perception (instance-level)",
    "attribute_recognition": "finegrained_perception (instance-level)",
    "spatial_relationship": "finegrained_perception (cross-instance)",
}


def write_mme(folder: Path, seed: int, images: int) -> Path:
    """``<task>/<name>.jpg`` beside ``<name>.txt`` of two lines, question, tab, Yes or No."""
    root = folder / "MME_Benchmark_release_version"
    for task, items in suite.mme(seed, images).items():
        (root / task).mkdir(parents=True, exist_ok=True)
        for first, second in zip(items[::2], items[1::2], strict=True):
            name = f"{first.image:06d}"
            (root / task / f"{name}.jpg").write_bytes(jpeg(render(first.scene)))
            lines = [f"{i.asked.question}\t{i.asked.answer.capitalize()}\n" for i in (first, second)]
            (root / task / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    return root


def rotations(options: tuple[str, ...], answer: str) -> list[tuple[tuple[str, ...], str]]:
    """All circular shifts of the options, with the right letter in each; the first is the question as it is."""
    right, count = options[LETTERS.index(answer)], len(options)
    shifted = [options[k:] + options[:k] for k in range(count)]
    return [(o, LETTERS[o.index(right)]) for o in shifted]


def _mmbench_rows(index: int, scene: Scene, asked: Asked) -> list[dict[str, object]]:
    category = _CATEGORY[asked.kind]
    rows: list[dict[str, object]] = []
    for k, (options, answer) in enumerate(rotations(asked.options, asked.answer)):
        image = base64.b64encode(jpeg(render(scene))).decode() if k == 0 else str(index)
        rows.append(
            {
                "index": k * 1_000_000 + index,
                "question": asked.question,
                "hint": "",
                **dict(zip(LETTERS, options, strict=True)),
                "answer": answer,
                "category": category,
                "image": image,
                "source": "fourways zoo",
                "l2-category": _L2[category],
                "comment": "",
                "split": "dev",
            }
        )
    return rows


def write_mmbench(folder: Path, seed: int, images: int) -> tuple[Path, Path]:
    """English and Chinese TSV of the same questions; all rotations, copies naming their base row's image."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = suite.mmbench(seed, images)
    paths = (folder / "MMBench_DEV_EN.tsv", folder / "MMBench_DEV_CN.tsv")
    for language, path in enumerate(paths):
        rows = [
            r for pair in pairs for r in _mmbench_rows(pair[language].image, pair[language].scene, pair[language].asked)
        ]
        rows.sort(key=lambda r: int(str(r["index"])))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _MMBENCH_COLUMNS, delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return paths


def _vqa_types(asked: Asked) -> tuple[str, str, str]:
    """Question type, answer type, and what a mistaken annotator says."""
    question_type = " ".join(asked.question.lower().rstrip("?").split()[:3])
    if asked.answer in ("yes", "no"):
        return question_type, "yes/no", "no" if asked.answer == "yes" else "yes"
    if asked.answer.isdigit():
        return "how many", "number", str(int(asked.answer) + 1)
    return question_type, "other", "not sure"


def _dump(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_vqav2(folder: Path, seed: int, images: int, questions: int) -> Path:
    """Questions, annotations of ten answers, and ``val2014/COCO_val2014_%012d.jpg``."""
    (folder / "val2014").mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"suite vqav2 {seed} annotators")
    asked_list: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    per_image: dict[int, int] = {}
    for item in suite.vqav2(seed, images, questions):
        number = per_image.get(item.image, 0)
        per_image[item.image] = number + 1
        if number == 0:
            path = folder / "val2014" / f"COCO_val2014_{item.image:012d}.jpg"
            path.write_bytes(jpeg(render(item.scene)))
        question_id = item.image * 1000 + number
        question_type, answer_type, mistaken = _vqa_types(item.asked)
        wrong = rng.choice((0, 0, 1, 2))
        answers = [mistaken if i < wrong else item.asked.answer for i in range(10)]
        rng.shuffle(answers)
        asked_list.append({"image_id": item.image, "question": item.asked.question, "question_id": question_id})
        annotations.append(
            {
                "question_id": question_id,
                "image_id": item.image,
                "question_type": question_type,
                "answer_type": answer_type,
                "multiple_choice_answer": item.asked.answer,
                "answers": [
                    {"answer": a, "answer_confidence": "yes", "answer_id": i} for i, a in enumerate(answers, 1)
                ],
            }
        )
    head: dict[str, Any] = {
        "info": {"description": "Fourways zoo: held-out scenes in the form of VQA v2.0", "version": "2.0"},
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        "data_subtype": "val2014",
    }
    task = {"task_type": "Open-Ended", "data_type": "mscoco"}
    _dump(folder / "v2_OpenEnded_mscoco_val2014_questions.json", head | task | {"questions": asked_list})
    _dump(folder / "v2_mscoco_val2014_annotations.json", head | {"data_type": "mscoco", "annotations": annotations})
    return folder


def write_refcoco(folder: Path, seed: int, images: int, questions: int) -> Path:
    """``refcoco_val.jsonl`` (boxes in px of the picture) and its pictures; ``image`` is relative to the file's
    folder.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, object]] = []
    for item in suite.refcoco(seed, images, questions):
        name = f"images/{item.image:06d}.jpg"
        if not lines or lines[-1]["image"] != name:
            (folder / name).write_bytes(jpeg(render(item.scene)))
        assert item.asked.thing is not None
        box = [round(v, 2) for v in item.scene.box_px(item.asked.thing)]
        size = {"width": item.scene.width, "height": item.scene.height}
        lines.append({"image": name, "sent": item.asked.question, "bbox": box, **size})
    path = folder / "refcoco_val.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def write_realworldqa(folder: Path, seed: int, images: int, questions: int) -> Path:
    """Parquet in the Hub's form: image {bytes, path}, question (with its options and instruction), answer,
    image_path.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for item in suite.realworldqa(seed, images, questions):
        name = f"{item.image:05d}.png"
        image = {"bytes": png(render(item.scene)), "path": name}
        rows.append({"image": image, "question": item.asked.question, "answer": item.asked.answer, "image_path": name})
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("question", pa.string()),
            ("answer", pa.string()),
            ("image_path", pa.string()),
        ]
    )
    (folder / "data").mkdir(parents=True, exist_ok=True)
    path = folder / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def write_suite(folder: Path, *, images: int, seed: int, questions: int) -> dict[str, Path]:
    english, chinese = write_mmbench(folder / "mmbench", seed, images)
    return {
        "mme": write_mme(folder / "mme", seed, images),
        "mmbench_en": english,
        "mmbench_cn": chinese,
        "vqav2": write_vqav2(folder / "vqav2", seed, images, questions),
        "refcoco": write_refcoco(folder / "refcoco", seed, images, questions),
        "realworldqa": write_realworldqa(folder / "realworldqa", seed, images, questions),
    }
