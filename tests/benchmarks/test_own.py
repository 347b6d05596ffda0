"""A table of one's own becomes a benchmark by its key alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Metric, ReplyContext, Sample
from fourways.benchmarks.reading.own_cells import plain
from fourways.core.errors import BenchmarkFormatError, UserError
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
Jpeg = Callable[[int], bytes]
NOTHING = ReplyContext(None, ())


def text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def read(key: str, path: Path, **columns: str) -> list[Sample]:
    return list(registry.get(key, columns).read(path))


def value(metric: Metric) -> float:
    return sum(p.coefficient * sum(p.values) / sum(p.weights or (1,) * len(p.values)) for p in metric.parts)


# -- every form of table ----------------------------------------------------------------------------------------------

ROWS = (("What is it?", "a cat"), ('It says "stop", and?', "red, white"), ("Zwei\nZeilen?", "Öl"))


def written(folder: Path, suffix: str, pictures: str, jpeg: Jpeg) -> Path:
    """Three questions in one form of table, the pictures as base64, bytes or files beside it."""
    images: list[object] = []
    for number in range(3):
        (folder / "images").mkdir(exist_ok=True)
        (folder / f"images/{number}.jpg").write_bytes(jpeg(number))
        made: dict[str, object] = {"base64": text(jpeg(number)), "bytes": jpeg(number), "path": f"images/{number}.jpg"}
        images.append(made[pictures])
    path = folder / f"ours{suffix}"
    rows = [{"image": i, "question": q, "answer": a} for i, (q, a) in zip(images, ROWS, strict=True)]
    if suffix == ".parquet":
        pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), path)
    elif suffix in (".tsv", ".csv"):
        mark = "\t" if suffix == ".tsv" else ","
        quoted = (mark.join('"' + str(cell).replace('"', '""') + '"' for cell in row.values()) for row in rows)
        path.write_text("\n".join((mark.join(rows[0]), *quoted)) + "\n", encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, rows)) if suffix == ".jsonl" else json.dumps(rows), encoding="utf-8")
    return path


FORMS = [(s, p) for s in (".tsv", ".csv", ".jsonl", ".json") for p in ("base64", "path")]


@pytest.mark.parametrize(
    ("suffix", "pictures"), [*FORMS, (".parquet", "bytes"), (".parquet", "base64"), (".parquet", "path")]
)
def test_one_table_reads_alike_in_every_form(tmp_path: Path, jpeg: Jpeg, suffix: str, pictures: str) -> None:
    samples = read("open:ours", written(tmp_path, suffix, pictures, jpeg))
    assert [(s.question, s.gold) for s in samples] == [(q, (a,)) for q, a in ROWS]
    assert [s.image() for s in samples] == [jpeg(0), jpeg(1), jpeg(2)]
    assert [s.id for s in samples] == ["1", "2", "3"]
    assert len({s.image_key for s in samples}) == 3


def test_columns_of_other_names_are_mapped_and_a_name_they_shadow_is_left_out(tmp_path: Path, jpeg: Jpeg) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"file": "1.jpg", "q": "What?", "label": "cat", "question": "not this", "id": 7}) + "\n")
    (sample,) = read("open:x", path, question="q", answer="label", image="file", index="id")
    assert (sample.id, sample.question, sample.gold, sample.image()) == ("7", "What?", ("cat",), jpeg(1))


def test_a_spreadsheet_that_writes_semicolons_is_read(tmp_path: Path, jpeg: Jpeg) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    path = tmp_path / "x.csv"
    path.write_bytes('\ufeffimage;question;answer\r\n1.jpg;Was, bitte?;"rot; grün"\r\n'.encode())
    (sample,) = read("open:x", path)
    assert (sample.question, sample.gold) == ("Was, bitte?", ("rot; grün",))


def test_a_data_url_is_an_image(tmp_path: Path, jpeg: Jpeg) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"image": f"data:image/jpeg;base64,{text(jpeg(1))}", "question": "q", "answer": "a"}))
    assert read("open:x", path)[0].image() == jpeg(1)


def test_a_vlmevalkit_file_with_references_is_read(write_tsv: Callable[..., Path], jpeg: Jpeg, answer: Answer) -> None:
    """As MMBench's: the rotations of a question name its image, and count together."""
    rows = [
        {"index": 7, "question": "Which?", "A": "x", "B": "y", "answer": "A", "image": jpeg(1)},
        {"index": 1_000_007, "question": "Which?", "A": "y", "B": "x", "answer": "B", "image": "7"},
        {"index": 8, "question": "Where?", "A": "x", "B": "y", "answer": "A", "image": jpeg(2)},
        {"index": 2_000_008, "question": "Another?", "A": "x", "B": "y", "answer": "A", "image": jpeg(2)},
    ]  # fmt: skip
    path, benchmark = write_tsv(rows), registry.get("choice:ours")
    samples = list(benchmark.read(path))
    assert [s.group for s in samples] == ["7", "7", "8", "2000008"]
    made = [answer(benchmark, s, "A") for s in samples]
    assert value(benchmark.metrics(made)[0]) == 2 / 3


# -- how answers are judged -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "options", "right"),
    [
        ({"A": "x", "B": "y", "answer": "B"}, {"A": "x", "B": "y"}, "B"),
        ({"A": "x", "B": "y", "answer": "y"}, {"A": "x", "B": "y"}, "B"),
        ({"options": ["x", "y", "z"], "answer": "z"}, {"A": "x", "B": "y", "C": "z"}, "C"),
        ({"options": "x|y", "answer": "A"}, {"A": "x", "B": "y"}, "A"),
        ({"options": "['x', 'y|z']", "answer_index": 1}, {"A": "x", "B": "y|z"}, "B"),
        ({"options": [3, 4.5], "answer": "4.5"}, {"A": "3", "B": "4.5"}, "B"),
    ],
)
def test_options_and_the_right_one_are_given_in_several_ways(
    tmp_path: Path, jpeg: Jpeg, row: dict[str, object], options: dict[str, str], right: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"image": text(jpeg(1)), "question": "q", **row}))
    (sample,) = read("choice:x", path)
    assert (sample.options, sample.gold) == (options, (right,))


@pytest.mark.parametrize(
    ("row", "accepted"),
    [
        ({"answer": "a|b"}, ("a|b",)),
        ({"answers": "a|b"}, ("a", "b")),
        ({"answers": ["a", 3]}, ("a", "3")),
        ({"answer": ["a", "b"]}, ("a", "b")),
        ({"answer": "['a', 'b']"}, ("a", "b")),
        ({"answers": [{"answer": "a", "answer_id": 1}]}, ("a",)),
        ({"answer": 7}, ("7",)),
        ({"answer": "[not a list"}, ("[not a list",)),
    ],
)
def test_several_answers_may_be_accepted(tmp_path: Path, jpeg: Jpeg, row: dict[str, object], accepted: object) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"image": text(jpeg(1)), "question": "q", **row}))
    assert read("open:x", path)[0].gold == accepted


@pytest.mark.parametrize(
    ("reply", "exact", "vqa"),
    [
        ("a cat", 1, 1), ("  A Cat.\n", 1, 1), ('"a cat"', 1, 1), ("cat", 0, 1), ("two", 0, 1), ("2", 1, 1),
        ("a ｃat", 1, 1), ("a cat and a dog", 0, 0), ("", 0, 0), ("...", 0, 0),
    ],
)  # fmt: skip
def test_an_open_answer_is_compared_in_two_named_ways(reply: str, exact: int, vqa: int, answer: Answer) -> None:
    benchmark = registry.get("open:x")
    row = answer(benchmark, Sample("1", "1", "k", bytes, "q", ("A cat", "2")), reply)
    assert row.score == exact
    assert [value(m) for m in benchmark.metrics([row])] == [exact, vqa]
    assert (row.status == "unparsed") == (not reply.strip("."))


def test_yes_and_no_are_counted_with_f1_and_the_share_of_yes(answer: Answer) -> None:
    benchmark = registry.get("yes_no:x")
    pairs = [("yes", "Yes."), ("yes", "no"), ("no", "Yes, it is"), ("no", "No"), ("no", "yes or no"), ("yes", "")]
    rows = [
        answer(benchmark, Sample(str(i), str(i), str(i), bytes, "q", (gold,)), reply)
        for i, (gold, reply) in enumerate(pairs)
    ]
    found = {m.name: value(m) for m in benchmark.metrics(rows)}
    assert found == pytest.approx(
        {"accuracy": 2 / 6, "precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3, "yes_ratio": 2 / 6}
    )
    assert [row.parsed for row in rows] == ["yes", "no", "yes", "no", None, None]


@given(st.text(max_size=60))
def test_the_plain_form_is_stable(words: str) -> None:
    assert plain(plain(words)) == plain(words)


def test_questions_are_asked_in_the_dialect(tmp_path: Path) -> None:
    sample = Sample("1", "1", "k", bytes, "Is it red?", ("yes",))
    assert registry.get("yes_no:x").prompt(sample, "generic") == "Is it red? Please answer yes or no."
    assert (
        registry.get("yes_no:x")
        .prompt(sample, "internvl")
        .endswith("Answer the question using a single word or phrase.")
    )
    asked = Sample("1", "1", "k", bytes, "Is it red? Answer yes or no.", ("yes",))
    assert registry.get("yes_no:x").prompt(asked, "internvl") == asked.question
    assert registry.get("open:x").prompt(sample, "qwen2.5-vl") == registry.get("vqav2").prompt(sample, "qwen2.5-vl")


# -- what is wrong, and what to do ------------------------------------------------------------------------------------


def test_an_unknown_key_says_how_to_name_a_table() -> None:
    with pytest.raises(UserError, match="no benchmark is called 'photos'") as caught:
        registry.get("photos")
    assert "choice:photos, yes_no:photos, open:photos" in (caught.value.hint or "")


@pytest.mark.parametrize("key", ["open:", "open:a b", "open:../x", "open:" + "x" * 65, "free:x", "choice:x@rank@rank"])
def test_a_name_that_cannot_be_is_refused(key: str) -> None:
    with pytest.raises(UserError):
        registry.get(key)


def test_columns_are_mapped_for_tables_of_ones_own_only() -> None:
    with pytest.raises(UserError, match="the columns of mme have fixed names") as caught:
        registry.get("mme", {"question": "q"})
    assert "open:mme" in (caught.value.hint or "")
    with pytest.raises(UserError, match="no column is read as 'qestion'") as caught:
        registry.get("open:x", {"qestion": "q"})
    assert "question" in (caught.value.hint or "")


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
def test_a_missing_column_says_what_is_there_and_how_to_map_it(tmp_path: Path, suffix: str, jpeg: Jpeg) -> None:
    path = tmp_path / f"photos{suffix}"
    row = {"image": text(jpeg(1)), "q": "What?", "answer": "x"}
    if suffix == ".parquet":
        pq.write_table(pa.table({name: [cell] for name, cell in row.items()}), path)
    elif suffix == ".jsonl":
        path.write_text(json.dumps(row))
    else:
        mark = "\t" if suffix == ".tsv" else ","
        path.write_text(f"{mark.join(row)}\n{mark.join(row.values())}\n")
    with pytest.raises(BenchmarkFormatError, match=r"missing column\(s\) question; found image, q, answer") as caught:
        read("open:our-photos", path)
    assert f'{{"open:our-photos": {{"path": "{path.name}", "columns": {{"question": "its name there"}}}}}}' in (
        caught.value.hint or ""
    )
    with pytest.raises(
        BenchmarkFormatError, match="no column 'Q', which was named for 'question'; found image, q, answer"
    ):
        read("open:our-photos", path, question="Q")


@pytest.mark.parametrize(
    ("key", "row", "said"),
    [
        ("open:x", {"answer": "..."}, "line 1: column 'answer' has no answer that a reply could equal"),
        ("open:x", {"answer": ""}, "line 1: column 'answer' is empty"),
        ("open:x", {"answer": "a", "image": "gone.jpg"}, "line 1: image 'gone.jpg' not found"),
        ("open:x", {"answer": "a", "image": "../../secret.jpg"}, "does not stay below"),
        ("yes_no:x", {"answer": "maybe"}, "line 1: column 'answer' is 'maybe', neither yes nor no"),
        ("choice:x", {"answer": "C", "A": "x", "B": "y"}, "line 1: column 'answer' is 'C', which is none of A, B"),
        ("choice:x", {"answer": "u", "options": ["u", "v", "u"]}, "'answer' is 'u', which is the text of A and C"),
        ("choice:x", {"A": "x", "B": "y"}, "missing column(s) answer; found"),
        ("yes_no:x", {"reply": "yes"}, "missing column(s) answer; found"),
        ("choice:x", {"answer": "A"}, "line 1: 0 options, where a choice needs two"),
        ("choice:x", {"answer_index": 2, "options": ["x", "y"]}, "line 1: column 'answer_index' is '2', not 0 to 1"),
    ],
)
def test_a_row_that_cannot_be_judged_is_named(
    tmp_path: Path, jpeg: Jpeg, key: str, row: dict[str, object], said: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"image": text(jpeg(1)), "question": "q", **row}))
    with pytest.raises(BenchmarkFormatError) as caught:
        read(key, path)
    assert said in caught.value.message and caught.value.hint


def test_an_index_may_not_repeat(tmp_path: Path, jpeg: Jpeg) -> None:
    path = tmp_path / "x.jsonl"
    row = json.dumps({"index": 1, "image": text(jpeg(1)), "question": "q", "answer": "a"})
    path.write_text(f"{row}\n{row}\n")
    with pytest.raises(BenchmarkFormatError, match="line 2: column 'index' repeats 1"):
        read("open:x", path)


def test_commas_outside_quotes_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("image,question,answer\na.jpg,Red, or blue?,red\n")
    with pytest.raises(BenchmarkFormatError, match="4 cells where the header has 3") as caught:
        read("open:x", tmp_path / "x.csv")
    assert caught.value.hint == "Put cells that hold a ',' in double quotes."


def test_a_folder_without_a_table_says_what_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFormatError) as caught:
        read("open:x", tmp_path)
    assert all(suffix in (caught.value.hint or "") for suffix in (".tsv", ".csv", ".parquet", ".jsonl", ".json"))


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(BenchmarkFormatError, match=r"'\.xlsx' is no table") as caught:
        read("open:x", tmp_path / "x.xlsx")
    assert ".csv" in (caught.value.hint or "")


def test_tables_of_two_kinds_with_one_name_can_be_told_apart() -> None:
    keys = ("open:mine", "choice:mine", "yes_no:mine")
    assert tuple(registry.get(key).title for key in keys) == keys
