"""Data that was pulled is named by its benchmark's key alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourways.compare import load_suite
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
