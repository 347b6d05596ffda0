from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.reading.json_stream import stream_array
from fourways.benchmarks.vqav2 import VQAv2
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
BENCHMARK = VQAv2()
QUESTIONS, ANNOTATIONS = "v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"


@pytest.fixture
def folder(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Path:
    """Two images, three questions; the annotations stand in another order."""
    (tmp_path / "val2014").mkdir()
    for image in (42, 7):
        (tmp_path / f"val2014/COCO_val2014_{image:012d}.jpg").write_bytes(jpeg(image))
    asked = [(42000, 42, "Café “open”?"), (42001, 42, "How many?"), (7000, 7, "Is it red?")]
    answers = {42000: ["yes"] * 9 + ["no"], 42001: ["2"] * 10, 7000: ["red"] * 5 + ["Red."] * 5}
    questions = {"info": {}, "questions": [{"question_id": q, "image_id": i, "question": t} for q, i, t in asked]}
    annotations = [
        {
            "question_id": q, "image_id": i, "question_type": "is", "answer_type": "other",
            "answers": [{"answer": a, "answer_confidence": "yes", "answer_id": n} for n, a in enumerate(answers[q], 1)],
        }
        for q, i, _ in reversed(asked)
    ]  # fmt: skip
    (tmp_path / QUESTIONS).write_text(json.dumps(questions, ensure_ascii=False), encoding="utf-8")
    (tmp_path / ANNOTATIONS).write_text(json.dumps({"annotations": annotations, "license": {}}))
    return tmp_path


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content))


def test_questions_find_their_annotations_and_images(folder: Path, jpeg: Callable[[int], bytes]) -> None:
    samples = list(BENCHMARK.read(folder))
    assert [(s.id, s.image_key) for s in samples] == [("42000", "42"), ("42001", "42"), ("7000", "7")]
    assert samples[0].question == "Café “open”?"
    assert samples[0].gold == ("yes",) * 9 + ("no",)
    assert samples[2].image() == jpeg(7)
    assert samples[1].extra == {"question_type": "is"} and samples[1].category == "other"


def test_both_normalisations_stand_side_by_side_by_name(folder: Path, answer: Answer) -> None:
    replies = {"42000": "Yes", "42001": "Two.", "7000": "red"}
    rows = [answer(BENCHMARK, s, replies[s.id]) for s in BENCHMARK.read(folder)]
    found = {m.name: sum(m.parts[0].values) / 3 for m in BENCHMARK.metrics(rows) if not m.labels}
    assert found == pytest.approx({"accuracy": 1.0, "accuracy_github": 2 / 3})
    assert [m.name for m in BENCHMARK.metrics(rows) if m.primary] == ["accuracy"]


def test_a_test_split_has_no_annotations(folder: Path, answer: Answer) -> None:
    (folder / ANNOTATIONS).unlink()
    samples = list(BENCHMARK.read(folder))
    assert {s.gold for s in samples} == {()}
    assert BENCHMARK.metrics([answer(BENCHMARK, s, "x") for s in samples]) == []


def test_prompts_are_the_families_own() -> None:
    sample = Sample("s", "g", "k", bytes, "Red?", ("yes",))
    short = "Answer the question using a single word or phrase."
    qwen = "Please try to answer the question with short words or phrases if possible."
    assert BENCHMARK.prompt(sample, "qwen2.5-vl") == BENCHMARK.prompt(sample, "qwen2-vl") == f"Red?\n{qwen}"
    assert BENCHMARK.prompt(sample, "internvl") == f"Red? {short}"
    assert BENCHMARK.prompt(sample, "llava-next") == BENCHMARK.prompt(sample, "unheard of") == f"Red?\n{short}"


def test_a_question_without_annotation_is_named(folder: Path) -> None:
    edit(folder / ANNOTATIONS, lambda content: content["annotations"].pop())
    with pytest.raises(BenchmarkFormatError, match="no annotation for question 42000"):
        list(BENCHMARK.read(folder))


def test_a_missing_field_is_named(folder: Path) -> None:
    edit(folder / QUESTIONS, lambda content: content["questions"][1].pop("question"))
    with pytest.raises(BenchmarkFormatError, match=rf"{QUESTIONS}, byte \d+: .*question"):
        list(BENCHMARK.read(folder))


def test_a_missing_image_is_named(folder: Path) -> None:
    (folder / "val2014/COCO_val2014_000000000007.jpg").unlink()
    with pytest.raises(BenchmarkFormatError, match="COCO_val2014_000000000007"):
        list(BENCHMARK.read(folder))


def test_swapped_files_are_named(folder: Path) -> None:
    (folder / QUESTIONS).write_text('{"annotations": []}')
    with pytest.raises(BenchmarkFormatError, match="no array 'questions'"):
        list(BENCHMARK.read(folder))


def test_a_file_that_was_cut_is_named(folder: Path) -> None:
    text = (folder / ANNOTATIONS).read_text()
    (folder / ANNOTATIONS).write_text(text[: len(text) // 2])
    with pytest.raises(BenchmarkFormatError, match="'annotations' is broken at byte"):
        list(BENCHMARK.read(folder))


def test_two_splits_in_a_folder_are_refused(folder: Path) -> None:
    (folder / "v2_OpenEnded_mscoco_train2014_questions.json").write_text("{}")
    with pytest.raises(BenchmarkFormatError, match="2 files end in"):
        list(BENCHMARK.read(folder))


objects = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none(), max_size=4))


@given(objects, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_streamed_elements_lie_where_they_say(tmp_path: Path, values: list[dict[str, Any]], ascii_only: bool) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"before": [1], "values": values, "after": {}}, ensure_ascii=ascii_only), "utf-8")
    data = file.read_bytes()
    assert [json.loads(data[at : at + size]) for at, size, _ in stream_array(file, "values")] == values


def test_elements_across_chunks_are_whole(tmp_path: Path) -> None:
    values = [{"n": i, "text": "é" * 4000} for i in range(700)]
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"values": values}, ensure_ascii=False), "utf-8")
    assert file.stat().st_size > 5 * 2**20
    assert [value["n"] for _, _, value in stream_array(file, "values")] == list(range(700))
