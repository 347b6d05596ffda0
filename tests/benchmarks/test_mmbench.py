from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fourways.benchmarks.answers.choice import CIRCLE
from fourways.benchmarks.contract import Metric
from fourways.benchmarks.mmbench import MMBenchCN, MMBenchEN
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
WriteTsv = Callable[[Sequence[dict[str, object]]], Path]
EN = MMBenchEN()
OPTIONS = ("dog", "bird", "cat")


def circular(
    base: int, image: object, right: str = "cat", copies: bool = True, **more: object
) -> list[dict[str, object]]:
    """A question and its rotations; the copies name the base row's image unless it is repeated."""
    rows: list[dict[str, object]] = []
    for k in range(len(OPTIONS) if copies else 1):
        turned = OPTIONS[k:] + OPTIONS[:k]
        rows.append(
            {
                "index": k * CIRCLE + base, "question": "Which?", "hint": "nan", "A": turned[0], "B": turned[1],
                "C": turned[2], "D": "", "answer": "ABC"[turned.index(right)], "category": "identity",
                "image": image if k == 0 else str(base), "source": "x", "l2-category": "FP-S", "comment": "",
                "split": "dev", **more,
            }
        )  # fmt: skip
    return rows


def values(metrics: Sequence[Metric]) -> dict[str, float]:
    return {m.name: sum(m.parts[0].values) / len(m.parts[0].values) for m in metrics if not m.labels}


def test_rotations_share_group_and_image(write_tsv: WriteTsv, jpeg: Callable[[int], bytes]) -> None:
    path = write_tsv([*circular(7, jpeg(7)), *circular(12, jpeg(12))])
    samples = list(EN.read(path))
    assert [s.id for s in samples] == ["7", "1000007", "2000007", "12", "1000012", "2000012"]
    assert [s.group for s in samples] == ["7"] * 3 + ["12"] * 3
    assert {s.image() for s in samples[:3]} == {jpeg(7)}
    assert samples[0].options == {"A": "dog", "B": "bird", "C": "cat"}
    assert (samples[0].gold, samples[1].gold, samples[2].gold) == (("C",), ("B",), ("A",))
    assert samples[0].hint == ""


def test_circular_wants_every_rotation(write_tsv: WriteTsv, jpeg: Callable[[int], bytes], answer: Answer) -> None:
    """7: all right. 12: the base is right, one rotation is not. 13: the base is wrong."""
    path = write_tsv([*circular(7, jpeg(7)), *circular(12, jpeg(12)), *circular(13, jpeg(13))])
    wrong = {"1000012", "13"}
    rows = [answer(EN, s, "D" if s.id in wrong else str(s.gold[0])) for s in EN.read(path)]
    metrics = EN.metrics(rows)
    assert values(metrics) == pytest.approx({"circular": 1 / 3, "vanilla": 2 / 3, "vanilla_all": 7 / 9})
    assert [m.name for m in metrics if m.primary] == ["circular"]
    assert [m.labels for m in metrics if m.labels] == [{"l2_category": "FP-S"}, {"category": "identity"}]


def test_always_the_first_letter_is_caught(write_tsv: WriteTsv, jpeg: Callable[[int], bytes], answer: Answer) -> None:
    path = write_tsv([*circular(7, jpeg(7), right="dog"), *circular(8, jpeg(8), right="dog")])
    found = values(EN.metrics([answer(EN, s, "A") for s in EN.read(path)]))
    assert (found["vanilla"], found["circular"]) == (1.0, 0.0)


def test_a_file_without_rotations_has_no_circular_accuracy(
    write_tsv: WriteTsv, jpeg: Callable[[int], bytes], answer: Answer
) -> None:
    path = write_tsv([*circular(7, jpeg(7), copies=False), *circular(8, jpeg(8), copies=False)])
    metrics = EN.metrics([answer(EN, s, "C") for s in EN.read(path)])
    assert values(metrics) == {"vanilla": 1.0}
    assert [m.name for m in metrics if m.primary] == ["vanilla"]


def test_a_g_index_column_decides_the_group(write_tsv: WriteTsv, jpeg: Callable[[int], bytes]) -> None:
    path = write_tsv([{**row, "g_index": 5} for row in circular(7, jpeg(7))])
    assert {s.group for s in EN.read(path)} == {"5"}


def test_a_split_without_answers_is_read_and_not_scored(
    write_tsv: WriteTsv, jpeg: Callable[[int], bytes], answer: Answer
) -> None:
    path = write_tsv([{**row, "answer": ""} for row in circular(7, jpeg(7))])
    samples = list(EN.read(path))
    assert {s.gold for s in samples} == {()}
    assert EN.metrics([answer(EN, s, "A") for s in samples]) == []


def test_an_answer_that_is_no_option_is_named(write_tsv: WriteTsv, jpeg: Callable[[int], bytes]) -> None:
    path = write_tsv([{**row, "answer": "D"} for row in circular(7, jpeg(7))])
    with pytest.raises(BenchmarkFormatError, match="line 2: column 'answer' is 'D', which is none of A, B, C"):
        list(EN.read(path))


def test_an_index_that_is_no_number_is_named(write_tsv: WriteTsv, jpeg: Callable[[int], bytes]) -> None:
    path = write_tsv([{**row, "index": "x"} for row in circular(7, jpeg(7), copies=False)])
    with pytest.raises(BenchmarkFormatError, match="line 2: column 'index' is 'x'"):
        list(EN.read(path))


def test_both_languages_differ_in_prompt_and_key_only(write_tsv: WriteTsv, jpeg: Callable[[int], bytes]) -> None:
    path = write_tsv(circular(7, jpeg(7)))
    english, chinese = next(EN.read(path)), next(MMBenchCN().read(path))
    assert english.options == chinese.options
    assert EN.prompt(english, "internvl").endswith("directly.")
    assert MMBenchCN().prompt(chinese, "internvl").endswith("请直接回答选项字母。")
    assert (EN.key, MMBenchCN().key) == ("mmbench_en", "mmbench_cn")


def test_real_questions_and_photographs_are_read(write_tsv: WriteTsv) -> None:
    folder = os.environ.get("FOURWAYS_TEST_MEDIA")
    if not folder or not (Path(folder) / "samples.json").is_file():
        pytest.skip("FOURWAYS_TEST_MEDIA names no folder with samples.json and photographs")
    every = json.loads((Path(folder) / "samples.json").read_text("utf-8"))
    real = [source for source in every if source["options"].get(source["answer"])]
    assert len(real) >= 20
    blank = dict.fromkeys("ABCD", "")
    path = write_tsv(
        [
            {"index": i, "question": s["question"], "hint": s["hint"] or "", **blank, **s["options"],
             "answer": s["answer"], "image": (Path(folder) / s["image"]).read_bytes()}
            for i, s in enumerate(real)
        ]
    )  # fmt: skip
    samples = list(EN.read(path))
    assert len(samples) == len(real)
    for sample, source in zip(samples, real, strict=True):
        assert sample.question == source["question"]
        assert sample.options == {letter: text for letter, text in source["options"].items() if text}
        assert sample.image() == (Path(folder) / source["image"]).read_bytes()
