"""Data that was pulled is named by its benchmark's key alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourways.compare import load_suite, write_suite
from fourways.core.errors import UserError


def test_what_was_not_pulled_is_told_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOURWAYS_DATA", str(tmp_path))
    with pytest.raises(UserError, match="the data of mmbench_en is not here") as caught:
        load_suite(["mmbench_en@rank"])
    assert caught.value.hint is not None and "fourways data pull mmbench_en" in caught.value.hint


def test_what_is_here_is_found_and_asked_as_its_key_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.compare.suites.find", lambda key: tmp_path / key)
    suite = load_suite(["mme", "mmbench_en@rank"])
    assert [(key, entry.path.name, entry.benchmark.ranks) for key, entry in suite.items()] == [
        ("mme", "mme", False),
        ("mmbench_en@rank", "mmbench_en", True),
    ]


def test_a_folder_that_is_no_suite_does_not_hide_a_benchmark_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fourways.compare.suites.find", lambda key: tmp_path / "pulled")
    (tmp_path / "mme").mkdir()
    (tmp_path / "mme" / "color.txt").write_text("results of another program")
    assert load_suite(["mme"])["mme"].path == tmp_path / "pulled"
    write_suite(tmp_path / "vqav2", images=4, seed=3)
    assert "realworldqa" in load_suite(["vqav2"])
