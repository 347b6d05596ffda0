"""What ran, and what was lost, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fourways.core.rows import FailureRow, Row
from fourways.core.run import RunHeader
from fourways.report import write_report
from fourways.report.provenance import _setting


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1: 12.4 ms, 2: 288.8 ms", "a short trial took 12.4 ms with 1 thread, 288.8 ms with 2 threads"),
        ("as asked", "number of threads as asked"),
    ],
)
def test_how_many_threads_were_tried_is_said_in_words(value: str, words: str) -> None:
    assert _setting("threads_measured", value) == words


def test_a_lost_axis_is_named(
    make_run: Callable[[Path, list[Row], RunHeader], Path], made_up_header: RunHeader, tmp_path: Path
) -> None:
    name = made_up_header.candidates[0].candidate.name
    run = make_run(tmp_path / "lost", [FailureRow(name, "memory", "axis", "", "broke")], made_up_header)
    text = write_report(run, images=lambda sha: None).read_text("utf-8")
    assert "the whole memory axis" in text
    assert "one picture a candidate" not in text
    assert 'class="legend"' not in text
