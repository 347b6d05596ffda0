"""Where there is no terminal, progress is a few plain lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fourways.compare.progress import Bars, Lines, show_on


def said(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_quick_work_is_one_line_at_its_end() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.phase("accuracy: qwen")
    for done in range(5):
        lines.step(done, 4, "qwen · MME")
    lines.step(4, 4, "qwen · MME")
    lines.step(0, 2, "qwen · VQAv2")
    assert said(stream) == ["accuracy: qwen", "  qwen · MME: 4/4"]


def test_long_work_says_every_ten_seconds_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("fourways.compare.progress.time.monotonic", lambda: now)
    stream = io.StringIO()
    lines = Lines(stream)
    for done in range(60):
        now = float(done)
        lines.step(done, 1000, "qwen · MME")
    assert said(stream) == [f"  qwen · MME: {done}/1000" for done in (10, 20, 30, 40, 50)]


def test_a_terminal_gets_bars_and_a_file_gets_lines() -> None:
    assert isinstance(show_on(Console(file=io.StringIO())), Lines)
    bars = show_on(Console(file=io.StringIO(), force_terminal=True))
    assert isinstance(bars, Bars)
    bars.step(1, 2, "qwen")
    bars.close()
