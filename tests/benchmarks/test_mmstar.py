from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks.contract import ReplyContext, Sample
from fourways.benchmarks.mmstar import MMStar
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
Jpeg = Callable[[int], bytes]
WriteTsv = Callable[[Sequence[dict[str, object]]], Path]
BENCHMARK = MMStar()
INSIDE = "Which one?\nOptions: A: on the book., B: Beside, or under, it., C: 3, D: none"


def row(index: int, image: bytes, **more: object) -> dict[str, object]:
    return {
        "index": index, "question": INSIDE, "image": image, "answer": "B", "category": "math",
        "l2_category": "geometry", "bench": "MMMU", **more,
    }  # fmt: skip


def parse(reply: str) -> str | None:
    sample = Sample("1", "1", "k", bytes, "q", ("A",), options={"A": "", "B": ""})
    parsed = BENCHMARK.parse(sample, reply, ReplyContext(None, ()))
    assert parsed is None or isinstance(parsed, str)
    return parsed


def test_options_inside_the_question_are_read_and_asked_as_they_are(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    (sample,) = BENCHMARK.read(write_tsv([row(0, jpeg(1))]))
    assert sample.options == {"A": "on the book.", "B": "Beside, or under, it.", "C": "3", "D": "none"}
    assert BENCHMARK.prompt(sample, "qwen2.5-vl").startswith(INSIDE)
    assert sample.extra["l2_category"] == "geometry"


def test_options_in_columns_are_asked_as_mmbench_asks(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    (sample,) = BENCHMARK.read(write_tsv([row(0, jpeg(1), question="Which?", A="x", B="y", C="z", D="w")]))
    assert BENCHMARK.prompt(sample, "internvl") == (
        "Which?\nA. x\nB. y\nC. z\nD. w\nAnswer with the option's letter from the given choices directly."
    )


def test_the_authors_parquet_is_read(tmp_path: Path, jpeg: Jpeg) -> None:
    info = [{"source": "MMBench", "split": "val", "image_path": "1.jpg"}] * 2
    table = {
        "index": [0, 1], "question": [INSIDE] * 2, "image": [jpeg(0), jpeg(1)], "answer": ["A", "B"],
        "category": ["math", "coarse perception"], "l2_category": ["geometry", "image emotion"], "meta_info": info,
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "mmstar.parquet")
    samples = list(BENCHMARK.read(tmp_path / "mmstar.parquet"))
    assert [sample.image() for sample in samples] == [jpeg(0), jpeg(1)]
    assert [sample.id for sample in samples] == ["0", "1"]


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("B", "B"), (" b.\n", "B"), ("(C) because", "C"), ("Option D", "D"), ("The answer is A", "A"),
        ("A dog", "A"), ("cat", "C"), ("E", None), ("", None), ("(", None), ("I think B", None), ("Answer: B", "A"),
    ],
)  # fmt: skip
def test_the_reply_is_read_from_its_beginning(reply: str, read: str | None) -> None:
    assert parse(reply) == read


@given(st.text(max_size=30), st.sampled_from("ABCD"))
def test_the_letter_is_right_where_the_authors_program_says_so(reply: str, right: str) -> None:
    """Its rule, written anew: the answer stands at the start, or right after one of three openings."""
    said, wanted = reply.lower().strip().replace("\n", " "), right.lower()
    starts = [said[:1] == wanted]
    starts += [
        said.startswith(lead) and said[len(lead) : len(lead) + 1] == wanted
        for lead in ("(", "option ", "the answer is ")
    ]
    assert (parse(reply) == right) == any(starts)


def test_accuracy_is_over_all_questions_and_by_capability(write_tsv: WriteTsv, jpeg: Jpeg, answer: Answer) -> None:
    rows = [
        row(0, jpeg(0)), row(1, jpeg(1), answer="A"),
        row(2, jpeg(2), category="coarse perception", l2_category="image emotion"),
    ]  # fmt: skip
    made = [answer(BENCHMARK, sample, "B") for sample in BENCHMARK.read(write_tsv(rows))]
    found = {
        (m.name, *m.labels.values()): sum(m.parts[0].values) / len(m.parts[0].values) for m in BENCHMARK.metrics(made)
    }
    assert found == {
        ("accuracy",): pytest.approx(2 / 3), ("accuracy_letter",): pytest.approx(2 / 3), ("accuracy", "math"): 0.5,
        ("accuracy", "coarse perception"): 1,
        ("accuracy", "geometry"): 0.5, ("accuracy", "image emotion"): 1,
    }  # fmt: skip


def test_a_letter_that_stands_elsewhere_counts_beside_the_official_rule(
    write_tsv: WriteTsv, jpeg: Jpeg, answer: Answer
) -> None:
    samples = list(BENCHMARK.read(write_tsv([row(i, jpeg(i)) for i in range(4)])))
    replies = ("Answer: B", "B", "Because", "A or B")
    rows = [answer(BENCHMARK, sample, reply) for sample, reply in zip(samples, replies, strict=True)]
    found = {m.name: m.parts[0].values for m in BENCHMARK.metrics(rows) if not m.labels}
    assert found == {"accuracy": (0, 1, 1, 0), "accuracy_letter": (1, 1, 0, 0)}


def test_an_answer_that_is_no_letter_is_named(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    with pytest.raises(BenchmarkFormatError, match="line 2: column 'answer' is 'BOTH', which is none of A, B, C, D"):
        list(BENCHMARK.read(write_tsv([row(0, jpeg(0), answer="both")])))
