"""The page's pictures come from the suite: those that are asked for, and only while they are what was shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.suite import Entry, Suite
from fourways.compare.suites import image_finder
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow, Row


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def rows(suite: Suite) -> list[Row]:
    """An answer to every sample of the suite."""
    return [
        AnswerRow(
            candidate="a", benchmark=key, sample=sample.id, group=sample.group, image=sha(sample.image()), category="",
            question="", gold=(), reply="", parsed=None, score=0.0, status="ok", finish_reason="stop",
            mean_logprob=None, output_tokens=None, visuals=(), prompt_sha256="", seed=0,
        )
        for key, entry in suite.items()
        for sample in entry.read()
    ]  # fmt: skip


def test_only_the_image_that_is_asked_for_is_read(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, read = rows(suite), list[str]()
    images = list(dict.fromkeys(row.image for row in asked if isinstance(row, AnswerRow)))
    whole = Entry.read

    def reading(sample: Sample) -> bytes:
        read.append(sample.id)
        return sample.image()

    def counted(entry: Entry) -> Iterator[Sample]:
        return (replace(sample, image=partial(reading, sample)) for sample in whole(entry))

    monkeypatch.setattr(Entry, "read", counted)
    find = image_finder(suite, lambda: iter(asked))
    for image in images[5:8]:
        found = find(image)
        assert found is not None and sha(found) == image
    assert len(read) == 3
    assert find("0" * 64) is None


def test_an_image_that_is_no_longer_the_same_is_not_shown(suite: Suite) -> None:
    asked = rows(suite)
    first = next(row for row in asked if isinstance(row, AnswerRow))
    other = msgspec.structs.replace(first, image="1" * 64)
    assert image_finder(suite, lambda: iter([other]))("1" * 64) is None


def test_data_that_cannot_be_read_any_more_costs_its_pictures_only(suite: Suite, tmp_path: Path) -> None:
    asked = rows(suite)
    broken = {**suite, "mme": Entry(suite["mme"].benchmark, tmp_path / "gone")}
    with pytest.raises((BenchmarkFormatError, OSError)):
        list(broken["mme"].read())
    find = image_finder(broken, lambda: iter(asked))
    held = {key: [row.image for row in asked if isinstance(row, AnswerRow) and row.benchmark == key] for key in suite}
    assert find(held["mme"][0]) is None
    assert find(held["vqav2"][0]) is not None
