"""The table of the command line: value, interval and n in every cell, or why not."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from fourways.core.figure import SUMMARY_SCHEMA, Figure, Status, Summary
from fourways.core.run_files import read_summary
from fourways.report import terminal_table


def printed(run: Path | Summary, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal_table(run if isinstance(run, Summary) else read_summary(run)))
    return console.export_text()


def lost(candidate: str, status: Status, reason: str) -> Figure:
    return Figure(
        axis="accuracy", candidate=candidate, metric="m", definition="m@1", unit="", direction="higher", value=None,
        low=None, high=None, n=0, n_unit="images", status=status, reason=reason, headline=True,
    )  # fmt: skip


def test_every_candidate_has_a_line_and_every_axis_a_column(made_up_run: Path) -> None:
    text = printed(made_up_run, 120)
    for word in ("qwen", "llava", "far-away-server", "accuracy", "latency", "memory", "tuning"):
        assert word in text
    assert text.count("n = ") == 10
    assert text.count("undefined: no access") == 2


def test_a_narrow_terminal_gets_the_whole_table(made_up_run: Path) -> None:
    text = printed(made_up_run, 60)
    assert all(len(line) <= 60 for line in text.splitlines())
    assert "…" not in text


def test_a_long_reason_stands_once_below_the_table_and_in_no_cell() -> None:
    reason = "no access: the server gives no log-probabilities, so nothing can be ranked"
    text = printed(Summary(SUMMARY_SCHEMA, "r", tuple(lost(name, "undefined", reason) for name in "abc")), 160)
    assert " ".join(text.split()).count(f"accuracy: undefined: {reason} (a, b, c)") == 1
    assert sum(line.split()[1:2] == ["undefined"] for line in text.splitlines()) == 3


def test_of_what_failed_the_table_says_that_it_failed() -> None:
    text = printed(Summary(SUMMARY_SCHEMA, "r", (lost("a", "failed", "CUDA: out of memory " * 20),)), 100)
    assert "failed" in text and "CUDA" not in text


def test_a_headline_time_that_may_be_the_clients_own_says_so_below_the_table() -> None:
    why = "too few for an interval; client-bound in 1 of 2 blocks: its loop's thread was busy 93 % of the time"
    slow, kept = (
        Figure(
            axis="latency", candidate=name, metric="ttft_p50", definition="ttft_p50@1", unit="ms", direction="lower",
            value=12.0, low=11.0, high=13.0, n=64, n_unit="requests", status="ok", reason=reason, headline=True,
        )
        for name, reason in (("slow", why), ("kept", None))
    )  # fmt: skip
    said = " ".join(printed(Summary(SUMMARY_SCHEMA, "r", (slow, kept)), 160).split())
    assert f"latency of slow is an upper bound: the load client did not keep up ({why})" in said
    assert "latency of kept" not in said
