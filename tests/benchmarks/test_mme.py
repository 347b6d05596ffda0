from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks.contract import Metric, ReplyContext, Sample
from fourways.benchmarks.mme import MME
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
BENCHMARK = MME()
NOTHING = ReplyContext(None, ())
END = " Please answer yes or no."


@pytest.fixture
def release(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Path:
    """Two images of `color` side by side with their questions, one of `artwork` in folders of their own."""
    for name in ("0001", "0002"):
        folder = tmp_path / "MME_Benchmark_release_version/color"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(jpeg(int(name)))
        (folder / f"{name}.txt").write_text(f"Is it red?{END}\tYes\nIs it blue?{END}\tNo\n")
    art = tmp_path / "MME_Benchmark_release_version/artwork"
    (art / "images").mkdir(parents=True)
    (art / "questions_answers_YN").mkdir()
    (art / "images/9.png").write_bytes(jpeg(9))
    (art / "questions_answers_YN/9.txt").write_text(f"By Monet?{END}\tNo\nBy Manet?{END}\tYes")
    return tmp_path


def value(metrics: Sequence[Metric], name: str, **labels: str) -> float:
    found = next(m for m in metrics if m.name == name and m.labels == labels)
    return sum(part.coefficient * sum(part.values) / len(part.values) for part in found.parts)


def test_the_official_folder_is_read_in_both_layouts(release: Path, jpeg: Callable[[int], bytes]) -> None:
    samples = list(BENCHMARK.read(release))
    assert [sample.id for sample in samples] == [
        "color/0001/0", "color/0001/1", "color/0002/0", "color/0002/1", "artwork/9/0", "artwork/9/1",
    ]  # fmt: skip
    assert samples[0].gold == ("yes",) and samples[0].category == "color"
    assert samples[0].image_key == samples[1].image_key and samples[0].group == samples[1].group
    assert samples[5].image() == jpeg(9)


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("Yes", "yes"),
        ("yes, the sign says no left turn", "yes"),
        ("No.", "no"),
        ("NO", "no"),
        ("Not at all", "no"),
        (" yes", "yes"),
        ("  yes", None),
        ("I say yes", None),
        ("noyes", "no"),
        ("", None),
    ],
)
def test_only_the_first_four_characters_count(reply: str, read: str | None) -> None:
    sample = Sample("s", "g", "k", bytes, "q", ("yes",))
    assert BENCHMARK.parse(sample, reply, NOTHING) == read


@given(st.text(max_size=50))
def test_any_reply_is_yes_no_or_other(reply: str) -> None:
    assert BENCHMARK.parse(Sample("s", "g", "k", bytes, "q", ("no",)), reply, NOTHING) in {"yes", "no", None}


def test_scores_are_the_official_ones(release: Path, answer: Answer) -> None:
    """color: 3 of 4 questions, 1 of 2 images; artwork: 2 of 2, 1 of 1."""
    replies = {"color/0001/0": "yes", "color/0001/1": "no", "color/0002/0": "no", "color/0002/1": "no"}
    rows = [answer(BENCHMARK, s, replies.get(s.id, str(s.gold[0]))) for s in BENCHMARK.read(release)]
    metrics = BENCHMARK.metrics(rows)
    assert value(metrics, "mme_score", category="color") == pytest.approx(75 + 50)
    assert value(metrics, "mme_score", category="artwork") == pytest.approx(200)
    assert value(metrics, "mme_sum") == value(metrics, "mme_perception") == pytest.approx(325)
    assert value(metrics, "acc") == pytest.approx(5 / 6)
    assert value(metrics, "acc_plus") == pytest.approx(2 / 3)
    assert next(m for m in metrics if m.primary).maximum == 400


def test_a_part_of_the_subtasks_says_so_in_its_unit(release: Path, answer: Answer) -> None:
    rows = [answer(BENCHMARK, s, "yes") for s in BENCHMARK.read(release)]
    units = {m.name: m.unit for m in BENCHMARK.metrics(rows)}
    assert units["mme_sum"] == "points of 400"
    assert not any(name == "mme_cognition" for name in units)


def test_a_failed_row_is_wrong_and_spoils_its_image(release: Path, answer: Answer) -> None:
    import msgspec

    rows: list[AnswerRow] = [answer(BENCHMARK, s, str(s.gold[0])) for s in BENCHMARK.read(release)]
    rows[0] = msgspec.structs.replace(rows[0], status="failed", parsed=None, score=0.0)
    assert value(BENCHMARK.metrics(rows), "acc_plus") == pytest.approx(2 / 3)


def test_prompts_are_the_families_own() -> None:
    sample = Sample("s", "g", "k", bytes, f"Is it red?{END}", ("yes",))
    short = "Answer the question using a single word or phrase."
    assert BENCHMARK.prompt(sample, "qwen2.5-vl") == f"Is it red?{END}"
    assert BENCHMARK.prompt(sample, "generic") == f"Is it red?{END}"
    assert BENCHMARK.prompt(sample, "internvl") == f"Is it red?{END} {short}"
    assert BENCHMARK.prompt(sample, "llava-next") == f"Is it red?\n{short}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Is it red?\tYes\n", "1 questions where MME has 2"),
        ("Is it red? Yes\nIs it blue?\tNo\n", "line 1: no tab"),
        ("Is it red?\tYes\nIs it blue?\tPerhaps\n", "line 2: answer 'Perhaps'"),
    ],
)
def test_an_ill_formed_question_file_is_named(release: Path, text: str, said: str) -> None:
    (release / "MME_Benchmark_release_version/color/0002.txt").write_text(text)
    with pytest.raises(BenchmarkFormatError, match=rf"0002\.txt.*{said}"):
        list(BENCHMARK.read(release))


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFormatError, match=r"no subtask folder \(existence, count, …\)"):
        list(BENCHMARK.read(tmp_path))


def test_a_missing_image_is_named(release: Path) -> None:
    (release / "MME_Benchmark_release_version/color/0002.jpg").unlink()
    with pytest.raises(BenchmarkFormatError, match="no image 0002"):
        list(BENCHMARK.read(release))


def test_the_kits_tsv_is_read(write_tsv: Callable[..., Path], jpeg: Callable[[int], bytes]) -> None:
    path = write_tsv(
        [
            {
                "index": i,
                "image": jpeg(1),
                "image_path": "color/1.jpg",
                "question": f"q{i}",
                "answer": a,
                "category": "color",
            }
            for i, a in enumerate(("Yes", "No"))
        ]
    )
    samples = list(BENCHMARK.read(path))
    assert [(s.id, s.gold) for s in samples] == [("color/1.jpg/0", ("yes",)), ("color/1.jpg/1", ("no",))]
    assert samples[0].image_key == samples[1].image_key


def test_the_hubs_parquet_is_read(tmp_path: Path, jpeg: Callable[[int], bytes]) -> None:
    table = pa.table(
        {
            "question_id": ["OCR/1.jpg", "OCR/1.jpg"],
            "image": [{"bytes": jpeg(1), "path": None}] * 2,
            "question": ["a", "b"],
            "answer": ["Yes", "No"],
            "category": ["OCR", "OCR"],
        }
    )
    pq.write_table(table, tmp_path / "test.parquet")
    samples = list(BENCHMARK.read(tmp_path))
    assert [s.group for s in samples] == ["OCR/1.jpg", "OCR/1.jpg"]
    assert samples[1].image() == jpeg(1)
