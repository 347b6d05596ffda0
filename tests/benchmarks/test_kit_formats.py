"""The forms in which the evaluation kits and the Hub keep the older benchmarks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourways.benchmarks import registry
from fourways.benchmarks.answers.boxes import STATED, render
from fourways.benchmarks.contract import Metric, Sample
from fourways.benchmarks.suite import detect
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
Jpeg = Callable[..., bytes]
WriteTsv = Callable[[Sequence[dict[str, object]]], Path]


def parquet(path: Path, images: Sequence[bytes], **columns: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = [{"bytes": image, "path": None} for image in images]
    pq.write_table(pa.table({"image": held, **columns}), path)
    return path


def read(key: str, path: Path) -> list[Sample]:
    return list(registry.get(key).read(path))


def values(metrics: Sequence[Metric]) -> dict[tuple[str, ...], float]:
    return {
        (m.name, *m.labels.values()): sum(p.coefficient * sum(p.values) / len(p.values) for p in m.parts)
        for m in metrics
    }


# -- MME --------------------------------------------------------------------------------------------------------------


def mme_rows(jpeg: Jpeg) -> list[dict[str, object]]:
    return [
        {"index": i, "image": jpeg(i // 2), "image_path": f"color/{i // 2}.jpg", "category": "color",
         "question": "Red? Please answer yes or no.", "answer": "No" if i % 2 else "Yes"}
        for i in range(4)
    ]  # fmt: skip


def test_mmes_tables_have_two_questions_an_image_as_its_folder_has(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    rows = mme_rows(jpeg)
    assert [s.group for s in read("mme", write_tsv(rows))] == ["color/0.jpg"] * 2 + ["color/1.jpg"] * 2
    with pytest.raises(BenchmarkFormatError, match=r"1 images have one question, 'color/1\.jpg' among them") as caught:
        read("mme", write_tsv(rows[:3]))
    assert "acc+" in (caught.value.hint or "")
    third = {**rows[0], "index": 9}
    with pytest.raises(BenchmarkFormatError, match=r"line 6: a third question about 'color/0\.jpg'"):
        read("mme", write_tsv([*rows, third]))


def test_mmes_parquet_names_the_image_by_its_question_id(tmp_path: Path, jpeg: Jpeg) -> None:
    path = parquet(
        tmp_path / "data/test-00000-of-00001.parquet", [jpeg(0)] * 2, question_id=["color/0.png"] * 2,
        question=["a", "b"], answer=["Yes", "No"], category=["color"] * 2,
    )  # fmt: skip
    assert [s.id for s in read("mme", path.parent.parent)] == ["color/0.png/0", "color/0.png/1"]
    with pytest.raises(BenchmarkFormatError, match="1 images have one question"):
        read(
            "mme",
            parquet(
                tmp_path / "x.parquet", [jpeg(0)], question_id=["1"], question=["a"], answer=["No"], category=["OCR"]
            ),
        )


# -- MMBench ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "edition"),
    [
        ("MMBench_DEV_EN.tsv", "dev v1.0"), ("MMBench_TEST_CN_V11.tsv", "test v1.1"),
        ("mmbench_test_en_20231003.tsv", "test v1.0"), ("mmbench_dev_20230712.tsv", "dev v1.0"),
        ("MMBench_DEV_EN_legacy.tsv", "dev v1.0"), ("dev-00000-of-00001.parquet", "dev"), ("ours.tsv", ""),
        ("MMBench.tsv", ""),
    ],
)  # fmt: skip
def test_an_edition_is_told_by_the_official_names(tmp_path: Path, name: str, edition: str) -> None:
    (tmp_path / name).touch()
    assert registry.get("mmbench_en").edition(tmp_path / name) == edition
    assert registry.get("mmbench_en").edition(tmp_path) == edition
    assert registry.get("mmbench_en").edition(tmp_path / "gone") == ""


def test_the_hubs_mmbench_has_an_image_in_each_row(tmp_path: Path, jpeg: Jpeg, answer: Answer) -> None:
    """lmms-lab: L2-category with a capital, "nan" for what is empty; a test split has no answers."""
    path = parquet(
        tmp_path / "en/dev-00000-of-00001.parquet", [jpeg(1)] * 2, index=[3, 1_000_003], question=["q"] * 2,
        hint=["nan", "nan"], answer=["A", "B"], A=["x", "y"], B=["y", "x"], C=["nan", "nan"], D=["nan", "nan"],
        category=["c"] * 2, source=["s"] * 2, **{"L2-category": ["CP"] * 2}, comment=["nan"] * 2, split=["dev"] * 2,
    )  # fmt: skip
    samples = read("mmbench_en", path)
    assert [(s.group, s.hint, s.options) for s in samples] == [
        ("3", "", {"A": "x", "B": "y"}),
        ("3", "", {"A": "y", "B": "x"}),
    ]
    assert samples[0].image_key == samples[1].image_key and samples[0].extra == {"l2_category": "CP"}
    benchmark = registry.get("mmbench_en")
    found = values(benchmark.metrics([answer(benchmark, s, "A") for s in samples]))
    assert (found["circular",], found["vanilla",]) == (0, 1)
    hidden = parquet(tmp_path / "t.parquet", [jpeg(1)], index=[3], question=["q"], answer=["nan"], A=["x"], B=["y"])
    assert read("mmbench_en", hidden)[0].gold == ()


def test_splits_side_by_side_are_not_mixed(tmp_path: Path, jpeg: Jpeg) -> None:
    for split in ("dev", "test"):
        parquet(tmp_path / f"en/{split}-00000-of-00001.parquet", [jpeg(1)], index=[1], question=["q"], A=["x"], B=["y"])
    with pytest.raises(BenchmarkFormatError, match="holds the splits dev, test"):
        read("mmbench_en", tmp_path / "en")


def test_files_that_repeat_the_image_group_as_files_that_refer_to_it(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    rows: list[dict[str, object]] = [
        {"index": k * 1_000_000 + 5, "question": "q", "A": "x", "B": "y", "answer": "A", "image": jpeg(1)}
        for k in range(2)
    ]
    assert [(s.group, s.image()) for s in read("mmbench_en", write_tsv(rows))] == [("5", jpeg(1))] * 2


# -- VQAv2 ------------------------------------------------------------------------------------------------------------


def test_the_hubs_vqav2_has_ten_answers_or_none(tmp_path: Path, jpeg: Jpeg, answer: Answer) -> None:
    ten = [{"answer": "cat", "answer_confidence": "yes", "answer_id": i + 1} for i in range(10)]
    path = parquet(
        tmp_path / "validation-00000-of-00001.parquet", [jpeg(1)] * 2, question_id=[11, 12], image_id=[9, 9],
        question=["What?", "Who?"], answers=[ten, ten], answer_type=["other"] * 2, question_type=["what"] * 2,
        multiple_choice_answer=["cat"] * 2,
    )  # fmt: skip
    benchmark = registry.get("vqav2")
    samples = list(benchmark.read(path))
    assert [(s.id, s.image_key, s.gold, s.category) for s in samples] == [
        (n, "9", ("cat",) * 10, "other") for n in ("11", "12")
    ]
    found = values(benchmark.metrics([answer(benchmark, s, "Cat.") for s in samples]))
    assert (found["accuracy",], found["accuracy_github",], found["accuracy", "what"]) == (1, 0, 1)
    assert benchmark.edition(path) == "val2014"
    none = parquet(
        tmp_path / "t/testdev-00000-of-00001.parquet", [jpeg(1)], question_id=[1], image_id=[1], question=["q"],
        answers=pa.array([None], type=pa.list_(pa.struct([("answer", pa.string())]))),
    )  # fmt: skip
    assert [s.gold for s in read("vqav2", none)] == [()]
    assert benchmark.edition(none) == "test-dev2015"


def test_the_questions_of_test_dev_are_about_the_pictures_of_test(tmp_path: Path, jpeg: Jpeg) -> None:
    (tmp_path / "COCO_test2015_000000000001.jpg").write_bytes(jpeg(1))
    text = '{"questions": [{"question_id": 1, "image_id": 1, "question": "q"}]}'
    (tmp_path / "v2_OpenEnded_mscoco_test-dev2015_questions.json").write_text(text)
    (sample,) = read("vqav2", tmp_path)
    assert (sample.gold, sample.image()) == ((), jpeg(1))
    assert registry.get("vqav2").edition(tmp_path) == "test-dev2015"


# -- RefCOCO ----------------------------------------------------------------------------------------------------------


def test_vlmevalkits_refcoco_has_fractions_and_its_own_prompt(write_tsv: WriteTsv, jpeg: Jpeg, answer: Answer) -> None:
    """The published TSV: the sentence inside InternVL's prompt, the box as fractions, the split as a label; indices
    begin anew in each split."""
    prompt = "Please provide the bounding box coordinate of the region this sentence describes: <ref>{}</ref>"
    rows: list[dict[str, object]] = [
        {"index": 1, "image": jpeg(i), "question": prompt.format(f"dog {i}"), "answer": "[0.25, 0.5, 0.75, 1.0]",
         "category": category}
        for i, category in enumerate(("RefCOCO val", "RefCOCO+ test-A", "RefCOCOg test"))
    ]  # fmt: skip
    benchmark = registry.get("refcoco")
    samples = list(benchmark.read(write_tsv(rows)))
    assert [s.category for s in samples] == ["refcoco_val", "refcoco+_testA", "refcocog_test"]
    assert [s.question for s in samples] == ["dog 0", "dog 1", "dog 2"]
    assert [s.image() for s in samples] == [jpeg(0), jpeg(1), jpeg(2)]
    assert {s.gold for s in samples} == {(12, 16, 36, 32)} and samples[0].extra == {"width": "48", "height": "32"}
    replies = [render((12, 16, 36, 32), STATED, (48, 32)), "none", "none"]
    found = values(benchmark.metrics([answer(benchmark, s, r) for s, r in zip(samples, replies, strict=True)]))
    assert found["acc@0.5",] == pytest.approx(1 / 3) and found["acc@0.5", "refcoco_val"] == 1


def test_boxes_in_pixels_come_with_width_and_height(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    row: dict[str, object] = {
        "index": 1, "image": jpeg(1), "question": "the dog", "split": "RefCOCO_testB", "bbox_x1": 1, "bbox_y1": 2.5,
        "bbox_x2": 30, "bbox_y2": 20, "width": 48, "height": 32,
    }  # fmt: skip
    (sample,) = read("refcoco", write_tsv([row]))
    assert (sample.gold, sample.category, sample.question) == ((1, 2.5, 30, 20), "refcoco_testB", "the dog")
    with pytest.raises(BenchmarkFormatError, match="line 2: bbox"):
        read("refcoco", write_tsv([{**row, "bbox_x2": 0}]))
    with pytest.raises(BenchmarkFormatError, match="line 2: column 'bbox_y1' is 'x', not a number"):
        read("refcoco", write_tsv([{**row, "bbox_y1": "x"}]))


def test_the_hubs_refcoco_has_a_sample_for_each_sentence(tmp_path: Path, jpeg: Jpeg) -> None:
    """lmms-lab: x, y, width, height, and all sentences about an object in one row."""
    columns: dict[str, Sequence[object]] = {
        "question_id": ["1", "2"], "question": ["describe"] * 2, "answer": [["the dog", "dog left"], ["cat"]],
        "bbox": [[4.0, 5.0, 20.0, 10.0], [0.0, 0.0, 8.0, 8.0]], "segmentation": [[1.0], [2.0]], "file_name": ["a", "b"],
    }  # fmt: skip
    for name in ("RefCOCOplus/data/testA", "RefCOCOg/data/val", "RefCOCO/data/testB", "RefCOCO/data/val"):
        parquet(tmp_path / f"{name}-00000-of-00001.parquet", [jpeg(1), jpeg(2)], **columns)
    samples = read("refcoco", tmp_path)
    splits = {s.category for s in samples}
    assert splits == {"refcoco+_testA", "refcocog_val", "refcoco_testB", "lmms-lab_refcoco_val"}
    one = [s for s in samples if s.category == "refcoco_testB"]
    assert [(s.question, s.gold) for s in one] == [
        ("the dog", (4, 5, 24, 15)), ("dog left", (4, 5, 24, 15)), ("cat", (0, 0, 8, 8)),
    ]  # fmt: skip
    assert one[0].image_key == one[1].image_key and one[2].image() == jpeg(2)
    assert len({s.id for s in samples}) == len(samples) == 12
    with pytest.raises(BenchmarkFormatError, match="neither it nor a folder above it is named RefCOCO"):
        read(
            "refcoco",
            parquet(tmp_path / "x/data/val.parquet", [jpeg(1), jpeg(2)], **columns).rename(
                tmp_path.parent / "v.parquet"
            ),
        )


def test_eight_splits_are_known_as_the_published_ones(tmp_path: Path) -> None:
    from fourways.benchmarks.reading.refcoco_tables import SPLITS

    for split in SPLITS[:2]:
        (tmp_path / f"{split}.jsonl").touch()
    assert registry.get("refcoco").edition(tmp_path) == "refcoco_val, refcoco_testA"
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").touch()
    assert registry.get("refcoco").edition(tmp_path) == "8 splits"


# -- by their names ---------------------------------------------------------------------------------------------------


def test_the_new_ones_are_found_by_their_published_names(tmp_path: Path) -> None:
    for name in ("POPE.tsv", "MMStar.tsv", "RefCOCO.tsv"):
        (tmp_path / name).write_text("index\timage\n" + base64.b64encode(b"x").decode())
    assert {key: path.name for key, path in detect(tmp_path).items()} == {
        "refcoco": "RefCOCO.tsv", "pope": "POPE.tsv", "mmstar": "MMStar.tsv",
    }  # fmt: skip
