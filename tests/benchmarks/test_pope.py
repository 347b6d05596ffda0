from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourways.benchmarks.contract import Metric, ReplyContext, Sample
from fourways.benchmarks.pope import CATEGORIES, POPE
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
Jpeg = Callable[[int], bytes]
BENCHMARK = POPE()


def value(metric: Metric) -> float:
    return sum(p.coefficient * sum(p.values) / sum(p.weights or (1,) * len(p.values)) for p in metric.parts)


def values(metrics: Sequence[Metric], category: str = "") -> dict[str, float]:
    return {m.name: value(m) for m in metrics if m.labels.get("category", "") == category}


def official(replies: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """What evaluate.py of the POPE repository prints for one file, written anew from its rules."""
    said = ["no" if {"No", "not", "no"} & set(r.split(".")[0].replace(",", "").split(" ")) else "yes" for r in replies]
    pairs = list(zip(said, labels, strict=True))
    tp, fp = pairs.count(("yes", "yes")), pairs.count(("yes", "no"))
    tn, fn = pairs.count(("no", "no")), pairs.count(("no", "yes"))
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    return {
        "accuracy": (tp + tn) / len(pairs), "precision": precision, "recall": recall,
        "f1": 2 * precision * recall / (precision + recall), "yes_ratio": said.count("yes") / len(said),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, jpeg: Jpeg) -> Path:
    """The official layout: three files, the pictures in val2014."""
    (tmp_path / "val2014").mkdir()
    for number in range(4):
        (tmp_path / f"val2014/COCO_val2014_{number:012d}.jpg").write_bytes(jpeg(number))
    for category in CATEGORIES:
        lines = [
            {"question_id": i + 1, "image": f"COCO_val2014_{i // 6:012d}.jpg", "text": "Is there a dog in the image?",
             "label": "no" if i % 2 else "yes"}
            for i in range(24)
        ]  # fmt: skip
        (tmp_path / f"coco_pope_{category}.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_the_official_files_are_read_in_the_papers_order(folder: Path, jpeg: Jpeg) -> None:
    samples = list(BENCHMARK.read(folder))
    assert [sample.category for sample in samples[::24]] == list(CATEGORIES)
    assert len({sample.id for sample in samples}) == len(samples) == 72
    assert (samples[7].id, samples[7].gold, samples[7].image()) == ("random/8", ("no",), jpeg(1))
    assert BENCHMARK.edition(folder) == "coco"
    assert len(list(BENCHMARK.read(folder / "coco_pope_popular.json"))) == 24


REPLIES = (
    "Yes", "No", "yes.", "no,", "NO", "There is no dog. Yes", "Yes. But not a big one", "It is not, no", "maybe", "",
    "No\nYes", "the answer is yes", "nothing", "I see No, dog",
)  # fmt: skip


def test_every_category_has_what_the_official_program_prints(folder: Path, answer: Answer) -> None:
    chance = random.Random(4)
    samples = list(BENCHMARK.read(folder))
    rows = [answer(BENCHMARK, sample, chance.choice(REPLIES)) for sample in samples]
    metrics = BENCHMARK.metrics(rows)
    each = []
    for category in CATEGORIES:
        own = [row for row in rows if row.category == category]
        wanted = official([row.reply for row in own], [str(row.gold[0]) for row in own])
        assert values(metrics, category) == pytest.approx(wanted)
        each.append(wanted["f1"])
    whole = official([row.reply for row in rows], [str(row.gold[0]) for row in rows])
    found = values(metrics)
    assert {name: found[name] for name in whole} == pytest.approx(whole)
    assert found["f1_mean"] == pytest.approx(sum(each) / 3)
    assert [m.name for m in metrics if m.primary] == ["f1_mean"] and BENCHMARK.primary == "f1_mean"
    assert {m.direction for m in metrics if m.name == "yes_ratio"} == {"none"}


def test_nonsense_counts_as_yes_officially_and_as_wrong_beside_it(folder: Path, answer: Answer) -> None:
    rows = [answer(BENCHMARK, sample, "banana") for sample in BENCHMARK.read(folder)]
    assert {row.parsed for row in rows} == {"other"}
    found = values(BENCHMARK.metrics(rows))
    assert (found["accuracy"], found["recall"], found["yes_ratio"]) == (0.5, 1.0, 1.0)
    assert found["f1_mean"] == pytest.approx(2 / 3)
    assert found["accuracy_stated"] == 0


def test_always_no_has_no_precision_and_an_f1_of_nothing(folder: Path, answer: Answer) -> None:
    found = values(BENCHMARK.metrics([answer(BENCHMARK, sample, "No") for sample in BENCHMARK.read(folder)]))
    assert (found["accuracy"], found["precision"], found["f1_mean"], found["yes_ratio"]) == (0.5, 0, 0, 0)


def test_a_request_that_failed_is_wrong_whatever_the_answer_is(folder: Path, answer: Answer) -> None:
    import msgspec

    rows = [answer(BENCHMARK, sample, "") for sample in BENCHMARK.read(folder)]
    rows = [msgspec.structs.replace(row, parsed=None, score=0.0, status="failed") for row in rows]
    assert set(values(BENCHMARK.metrics(rows)).values()) == {0}


def test_a_question_of_several_categories_counts_in_each(
    write_tsv: Callable[..., Path], jpeg: Jpeg, answer: Answer
) -> None:
    path = write_tsv(
        [
            {"index": i, "image": jpeg(i), "image_path": f"{i}.jpg", "question": "Is there a dog?", "answer": right,
             "category": category}
            for i, (right, category) in enumerate(
                [("Yes", "adversarial,popular,random"), ("No", "adversarial"), ("No", "random")]
            )
        ]
    )  # fmt: skip
    metrics = BENCHMARK.metrics([answer(BENCHMARK, sample, "Yes") for sample in BENCHMARK.read(path)])
    assert values(metrics, "popular")["accuracy"] == 1
    assert values(metrics, "random")["accuracy"] == values(metrics, "adversarial")["accuracy"] == 0.5
    assert values(metrics)["accuracy"] == 3 / 5


def test_the_hubs_parquet_counts_questions_anew_in_each_category(tmp_path: Path, jpeg: Jpeg) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(
        pa.table(
            {
                "id": ["0", "1"], "question_id": ["1", "1"], "question": ["Is there a dog?"] * 2,
                "answer": ["yes", "no"], "image_source": ["COCO_val2014_1"] * 2,
                "image": [{"bytes": jpeg(1), "path": None}] * 2,
                "category": ["adversarial", "popular"],
            }
        ),
        tmp_path / "data/test-00000-of-00001.parquet",
    )  # fmt: skip
    samples = list(BENCHMARK.read(tmp_path))
    assert [sample.id for sample in samples] == ["adversarial/1", "popular/1"]
    assert samples[0].image_key == samples[1].image_key == "COCO_val2014_1"
    assert samples[1].image() == jpeg(1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"question_id": 1, "image": "x.jpg", "text": "q", "label": "yes"}', "image 'x.jpg' not found"),
        (
            '{"question_id": 1, "image": "1.jpg", "text": "q", "label": "perhaps"}',
            "answer 'perhaps' is neither yes nor no",
        ),
        ('{"question_id": 1, "image": "../1.jpg", "text": "q", "label": "yes"}', "does not stay below"),
        ('{"question_id": 1, "text": "q"}', "missing required field `image`"),
        ("[1]", "Expected `object`"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, jpeg: Jpeg, line: str, said: str) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    file = tmp_path / "gqa_pope_random.json"
    file.write_text(f"\n{line}\n")
    with pytest.raises(BenchmarkFormatError) as caught:
        list(BENCHMARK.read(file))
    assert said in caught.value.message and f"{file}, line 2" in caught.value.message


def test_each_dialect_is_asked_its_own_way() -> None:
    sample = Sample("1", "1", "k", bytes, "Is there a dog?", ("yes",))
    assert BENCHMARK.prompt(sample, "qwen2.5-vl") == "Is there a dog? Please answer yes or no."
    for dialect in ("llava-next", "internvl", "generic", "unheard-of"):
        assert (
            BENCHMARK.prompt(sample, dialect) == "Is there a dog?\nAnswer the question using a single word or phrase."
        )
    assert BENCHMARK.parse(sample, "Yes", ReplyContext(None, ())) == "yes"
    assert BENCHMARK.continuations(sample) == ("Yes", "No")
