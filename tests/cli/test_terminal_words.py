"""What others wrote is printed, and steers nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fourways.cli.compare import show_outcome
from fourways.cli.terminal import err, notes, results
from fourways.compare import Outcome
from fourways.core.failed import FailedRequests
from fourways.core.figure import SUMMARY_SCHEMA, Summary
from fourways.core.run import RUN_SCHEMA, ClockRecord, Environment, Reading, RunHeader, SourceState
from fourways.core.run_files import RUN_FILE

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


def run_of(folder: Path, *readings: Reading) -> None:
    """A run of the latency axis on a machine that stood so."""
    machine = Environment("x", 2, 2, 2**30, "Linux", "6", "3.11", {}, readings=readings)
    header = RunHeader(
        RUN_SCHEMA, "r", "2026-01-01T00:00:00+00:00", (), SourceState("0"), 7, ("latency",), None, False, (), (), {},
        machine, ClockRecord("one", 1.0, 0.0, ""),
    )  # fmt: skip
    (folder / RUN_FILE).write_bytes(msgspec.json.encode(header))


def test_below_the_table_it_is_said_that_the_machine_was_busy_and_only_then(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    outcome = Outcome(tmp_path, tmp_path / "report.html", Summary(SUMMARY_SCHEMA, "r", ()), (), (), False)
    run_of(tmp_path, Reading("system.load", "5.53 4 3 (1, 5, 15 minutes)", advice="let them end first"))
    show_outcome(outcome)
    assert "busy when the run began: 5.5 tasks on 2 cores. Times may be too long." in capsys.readouterr().out
    run_of(tmp_path, Reading("system.load", "0.10 0 0 (1, 5, 15 minutes)"))
    show_outcome(outcome)
    assert "busy" not in capsys.readouterr().out


def test_requests_that_failed_are_told_though_the_benchmark_is_not_lost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_of(tmp_path)
    partly = FailedRequests("qwen", "open:bf", asked=13, failed=1, first="the picture is no PNG")
    show_outcome(Outcome(tmp_path, tmp_path / "report.html", Summary(SUMMARY_SCHEMA, "r", ()), (), (partly,), False))
    said = "qwen: open:bf: 1 of 13 requests failed, counted as wrong; the first: the picture is no PNG\n"
    assert capsys.readouterr().err == said
