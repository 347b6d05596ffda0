"""A row of the accuracy axis as lmms-eval logs a sample: `doc_id`, `target`, `filtered_resps`, its metric's record."""

from __future__ import annotations

from typing import Any

from fourways.benchmarks.answered import sample_of
from fourways.benchmarks.mme import PERCEPTION
from fourways.benchmarks.predictions.boxes import box_word
from fourways.benchmarks.predictions.replies import IMAGE_SHA256
from fourways.benchmarks.predictions.yes_no_words import otter_label
from fourways.core.boxes import BoxFormat
from fourways.core.rows import AnswerRow

Json = dict[str, Any]


def task_of(key: str, edition: str) -> str:
    """lmms-eval's name of the task."""
    split = "test" if "test" in edition else "dev"
    names = {"mmbench_en": f"mmbench_en_{split}", "mmbench_cn": f"mmbench_cn_{split}", "vqav2": "vqav2_val"}
    return names.get(key, key).replace(":", "_")


def sample_line(key: str, number: int, row: AnswerRow, boxes: BoxFormat | None) -> Json:
    """One line of samples_TASK.jsonl. Beside what lmms-eval logs stands the image's digest, and how boxes
    are written."""
    line: Json = {
        "doc_id": number,
        "target": _target(key, row),
        "filtered_resps": row.reply,
        "input": row.question,
        IMAGE_SHA256: row.image,
    }
    if key == "refcoco" and boxes is not None:
        line["boxes"] = box_word(boxes)
    makers = {"mme": _mme, "mmbench_en": _mmbench, "mmbench_cn": _mmbench, "vqav2": _vqav2, "pope": _pope}
    makers |= {"mmstar": _mmstar, "refcoco": _refcoco}
    return {**line, **makers.get(key, _plain)(row)}


def _target(key: str, row: AnswerRow) -> str:
    first = str(row.gold[0]) if row.gold else ""
    return first.capitalize() if key in ("mme",) else first


def _plain(row: AnswerRow) -> Json:
    record: Json = {"index": row.sample, "category": row.category, "question": row.question, **sample_of(row).options}
    if row.group != row.sample:
        record["group"] = row.group
    return {"record": {**record, "answers": list(row.gold)} if len(row.gold) > 1 else record}


def _mme(row: AnswerRow) -> Json:
    name = "mme_perception_score" if row.category in PERCEPTION else "mme_cognition_score"
    right = bool(row.gold) and otter_label(row.reply) == row.gold[0]
    return {name: {"question_id": row.group, "category": row.category, "score": float(right)}}


def _mmbench(row: AnswerRow) -> Json:
    options = sample_of(row).options
    record: Json = {
        "index": int(row.sample) if row.sample.isdecimal() else row.sample,
        "g_index": int(row.group) if row.group.isdecimal() else row.group,
        "question": row.question,
        "answer": str(row.gold[0]) if row.gold else None,
        "prediction": row.reply.strip(),
        "category": row.category,
        "L2-category": row.extra.get("l2_category"),
        **{letter: options.get(letter, "nan") for letter in "ABCDE"},
    }
    return {"gpt_eval_score": record}


def _vqav2(row: AnswerRow) -> Json:
    number: int | str = int(row.sample) if row.sample.isdecimal() else row.sample
    return {"submission": {"question_id": number, "answer": row.reply}}


def _pope(row: AnswerRow) -> Json:
    said, truth = row.reply.lower().strip(), str(row.gold[0]) if row.gold else ""
    record: Json = {"question_id": row.sample, "score": float(said == truth), "prediction": said, "ground_truth": truth}
    return {"pope_accuracy": record, "category": row.category}


def _mmstar(row: AnswerRow) -> Json:
    record: Json = {"question_id": row.sample, "l2_category": row.extra.get("l2_category"), "score": row.score}
    options: Json = dict(sample_of(row).options)
    return {"average": {**record, "index": row.sample, "category": row.category, "question": row.question, **options}}


def _refcoco(row: AnswerRow) -> Json:
    """With what lmms-eval's own task leaves out: the image's size, the split, and the size that the model saw."""
    record: Json = {
        "gt_bbox": list(row.gold),
        "hw": [int(row.extra["height"]), int(row.extra["width"])],
        "split": row.category,
        "sent": row.question,
    }
    if row.visuals:
        record["seen"] = list(row.visuals[0].seen)
    return record
