"""The suite is the same on every machine and has the official forms."""

import base64
import csv
import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from fourways import zoo


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return zoo.write_suite(tmp_path_factory.mktemp("suite"), images=12, seed=5)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    zoo.write_suite(tmp_path / "a", images=4, seed=5)
    zoo.write_suite(tmp_path / "b", images=4, seed=5)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")


def test_every_benchmark_is_written(written: dict[str, Path]) -> None:
    assert tuple(written) == zoo.BENCHMARKS
    assert all(path.exists() for path in written.values())


def test_mme_has_four_subtasks_with_a_yes_and_a_no_for_each_picture(written: dict[str, Path]) -> None:
    root = written["mme"]
    assert {p.name for p in root.iterdir()} == {"existence", "count", "position", "color"}
    for text in root.rglob("*.txt"):
        lines = [line.split("\t") for line in text.read_text().splitlines()]
        assert [answer for _, answer in lines] == ["Yes", "No"]
        assert all(question.endswith(" Please answer yes or no.") for question, _ in lines)
        assert Image.open(text.with_suffix(".jpg")).format == "JPEG"


def _rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("key", ["mmbench_en", "mmbench_cn"])
def test_mmbench_rotates_options_under_the_official_indices(written: dict[str, Path], key: str) -> None:
    rows = {int(r["index"]): r for r in _rows(written[key])}
    bases = [i for i in rows if i < 1_000_000]
    assert len(bases) == 12 and len(rows) == 48
    for base in bases:
        right = {rows[k * 1_000_000 + base][rows[k * 1_000_000 + base]["answer"]] for k in range(4)}
        letters = {rows[k * 1_000_000 + base]["answer"] for k in range(4)}
        assert len(right) == 1 and letters == set("ABCD")
        Image.open(io.BytesIO(base64.b64decode(rows[base]["image"]))).load()
        assert rows[1_000_000 + base]["image"] == str(base)


def test_mmbench_is_the_same_question_in_both_languages(written: dict[str, Path]) -> None:
    english, chinese = _rows(written["mmbench_en"]), _rows(written["mmbench_cn"])
    assert [(r["index"], r["answer"], r["image"]) for r in english] == [
        (r["index"], r["answer"], r["image"]) for r in chinese
    ]
    assert not any(r["question"].isascii() for r in chinese)


def test_vqav2_has_ten_answers_and_the_named_pictures(written: dict[str, Path]) -> None:
    root = written["vqav2"]
    questions = json.loads((root / "v2_OpenEnded_mscoco_val2014_questions.json").read_text())["questions"]
    annotations = json.loads((root / "v2_mscoco_val2014_annotations.json").read_text())["annotations"]
    assert [q["question_id"] for q in questions] == [a["question_id"] for a in annotations]
    for annotation in annotations:
        answers = Counter(a["answer"] for a in annotation["answers"])
        assert answers.total() == 10 and answers.most_common(1)[0][0] == annotation["multiple_choice_answer"]
        assert Image.open(root / "val2014" / f"COCO_val2014_{annotation['image_id']:012d}.jpg").format == "JPEG"


def test_refcoco_boxes_lie_inside_their_pictures(written: dict[str, Path]) -> None:
    path = written["refcoco"]
    for line in path.read_text().splitlines():
        row = json.loads(line)
        x1, y1, x2, y2 = row["bbox"]
        assert Image.open(path.parent / row["image"]).size == (row["width"], row["height"])
        assert 0 <= x1 < x2 <= row["width"] and 0 <= y1 < y2 <= row["height"]


def test_realworldqa_holds_options_and_instruction_in_the_question(written: dict[str, Path]) -> None:
    table = pq.read_table(written["realworldqa"])
    assert table.column_names == ["image", "question", "answer", "image_path"]
    for row in table.to_pylist():
        Image.open(io.BytesIO(row["image"]["bytes"])).load()
        letter = "only the letter" in row["question"]
        assert "Please answer directly with" in row["question"]
        assert (row["answer"] in "ABC") == letter


def test_four_questions_an_image_can_be_asked_for(tmp_path: Path) -> None:
    root = zoo.write_suite(tmp_path, images=10, seed=1, questions=4)["vqav2"]
    questions = json.loads((root / "v2_OpenEnded_mscoco_val2014_questions.json").read_text())["questions"]
    assert set(Counter(q["image_id"] for q in questions).values()) == {4}


def test_distinct_scenes_are_distinct_pngs() -> None:
    scenes = list(zoo.distinct_scenes(40, seed=3))
    assert len(set(scenes)) == 40
    assert all(s.startswith(b"\x89PNG") for s in scenes)


def test_the_unseen_task_keeps_training_and_validation_apart() -> None:
    train, validation = zoo.unseen_task(0, 60, 60)
    assert not {s.image for s in train} & {s.image for s in validation}
    stars = sum(s.answer == "star" for s in train + validation)
    assert 30 < stars < 90
