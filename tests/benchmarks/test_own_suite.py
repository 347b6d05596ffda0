"""A suite file holds tables of one's own beside the public benchmarks, and the run's header can open them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fourways.benchmarks import registry
from fourways.compare.suites import check_suite, load_suite, record_suite
from fourways.core.errors import BenchmarkFormatError, UserError


@pytest.fixture
def folder(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Path:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    (tmp_path / "photos.jsonl").write_text(json.dumps({"file": "1.jpg", "q": "What?", "label": "cat"}) + "\n")
    (tmp_path / "photos.csv").write_text("image,question,answer\n1.jpg,What?,cat\n")
    return tmp_path


def listed(folder: Path, content: object) -> str:
    (folder / "suite.json").write_text(json.dumps(content))
    return str(folder)


MAPPED: dict[str, Any] = {"path": "photos.jsonl", "columns": {"question": "q", "answer": "label", "image": "file"}}


def test_a_listing_maps_columns_and_the_header_opens_the_same_benchmark_again(folder: Path) -> None:
    suite = load_suite([listed(folder, {"open:ours": MAPPED, "open:plain": "photos.csv"})])
    check_suite(suite)
    records = record_suite(suite)
    assert [(r.key, r.columns) for r in records] == [("open:ours", MAPPED["columns"]), ("open:plain", {})]
    for record in records:
        again = registry.get(record.key, record.columns)
        assert [s.question for s in again.read(Path(record.path))] == ["What?"]
        assert record.code_sha256 == registry.source_sha256(record.key)


def test_a_word_names_kind_name_and_table(folder: Path) -> None:
    suite = load_suite([f"open:ours={folder / 'photos.csv'}", f"open:ours.2={folder / 'photos.csv'}"])
    assert list(suite) == ["open:ours", "open:ours.2"]
    with pytest.raises(UserError, match="names the benchmark open:ours twice"):
        load_suite([f"open:ours={folder / 'photos.csv'}"] * 2)


def test_a_table_alone_is_answered_with_the_three_ways_to_name_it(folder: Path) -> None:
    with pytest.raises(UserError, match="it is not said how its answers are judged") as caught:
        load_suite([str(folder / "photos.csv")])
    assert f"choice:photos={folder / 'photos.csv'}" in (caught.value.hint or "")
    with pytest.raises(UserError, match="no benchmark is called 'photos'") as caught:
        load_suite([f"photos={folder / 'photos.csv'}"])
    assert "open:photos" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"open:ours": {"path": "photos.jsonl", "colums": {}}}, "unknown field `colums`"),
        ({"open:ours": {"columns": {}}}, "missing required field `path`"),
        ({"open:ours": {"path": "gone.csv"}}, "the data of open:ours is not at"),
        ({"open:ours": {"path": "photos.jsonl", "columns": {"qestion": "q"}}}, "no column is read as 'qestion'"),
        ({"mme": {"path": "photos.csv", "columns": {"question": "q"}}}, "the columns of mme have fixed names"),
        ({"vqav2@rank": "photos.csv"}, "the answers of vqav2 cannot be ranked"),
        ({"open:ours": 3}, "is no list of benchmarks"),
    ],
)
def test_what_is_wrong_with_a_listing_is_said(folder: Path, content: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_suite([listed(folder, content)])
    assert said in caught.value.message


def test_a_table_that_lacks_a_column_is_found_before_anything_runs(folder: Path) -> None:
    with pytest.raises(BenchmarkFormatError, match=r"missing column\(s\) image, question, answer; found file"):
        check_suite(load_suite([listed(folder, {"open:ours": "photos.jsonl"})]))
