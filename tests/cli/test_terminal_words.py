"""What others wrote is printed, and steers nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourways.cli.compare import show_outcome
from fourways.cli.terminal import err, notes, results
from fourways.compare import Outcome
from fourways.core.failed import FailedRequests
from fourways.core.figure import SUMMARY_SCHEMA, Summary

STEERING = "the server said \x1b]0;owned\x07\x1b[2J\x9b31m [bold]no[/bold]"
PLAIN = "the server said [U+001B]]0;owned[U+0007][U+001B][2J[U+009B]31m [bold]no[/bold]"


def test_words_of_others_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    results().print(STEERING, soft_wrap=True)
    notes().print(STEERING, soft_wrap=True)
    err(STEERING, STEERING)
    printed = capsys.readouterr()
    assert printed.out == f"{PLAIN}\n"
    assert printed.err == f"{PLAIN}\nerror: {PLAIN}\nhint: {PLAIN}\n"


def test_a_key_with_colons_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    results().print("open:smile: all of choice:b:", soft_wrap=True)
    assert capsys.readouterr().out == "open:smile: all of choice:b:\n"


def test_requests_that_failed_are_told_though_the_benchmark_is_not_lost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    partly = FailedRequests("qwen", "open:bf", asked=13, failed=1, first="the picture is no PNG")
    show_outcome(Outcome(tmp_path, tmp_path / "report.html", Summary(SUMMARY_SCHEMA, "r", ()), (), (partly,), False))
    said = "qwen: open:bf: 1 of 13 requests failed, counted as wrong; the first: the picture is no PNG\n"
    assert capsys.readouterr().err == said
