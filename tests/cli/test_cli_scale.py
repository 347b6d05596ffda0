"""Replicas, Ray, shards and concurrency on the command line, and `fourways merge`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fourways.compare import write_suite

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path) -> None:
    """A small suite in the folder where the command runs."""
    write_suite(tmp_path / "mine", images=4)


def test_a_dry_run_says_which_shard_would_be_asked_and_by_how_many(fourways: Run) -> None:
    code, out, _ = fourways("compare", "zoo:qwen", "--suite", "mine", "--shard", "2/3", "--replicas", "2", "--dry-run")
    assert code == 0
    assert "accuracy: shard 2 of 3, in whole images" in out
    assert "accuracy: qwen: 2 processes on the CPU" in out
    assert "latency" not in out and "tuning" not in out


def test_a_dry_run_says_how_many_requests_a_server_would_get(fourways: Run) -> None:
    arguments = ("s=http://127.0.0.1:9/v1", "--suite", "mine", "--axes", "accuracy", "--concurrency", "200")
    _, out, _ = fourways("compare", *arguments, "--dry-run")
    assert "accuracy: s: 200 requests in flight" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shard", "3"), "error: --shard '3' is not of the form INDEX/OF"),
        (("--shard", "1/2", "--axes", "accuracy,latency"), "and latency cannot be divided"),
        (("--replicas", "2", "--device", "cuda:1"), "names one card (cuda:1), and 2 replicas need 2"),
    ],
)
def test_what_cannot_be_divided_is_told_before_anything_starts(
    fourways: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = fourways("compare", "zoo:qwen", "--suite", "mine", *arguments)
    assert code == 2 and said in err
    assert not (tmp_path / "runs").exists()


def test_shards_are_run_and_merged_from_the_command_line(fourways: Run, tmp_path: Path) -> None:
    suite = ("--suite", f"mme={tmp_path}/mine/mme/MME_Benchmark_release_version")
    for index in ("1", "2"):
        code, _, err = fourways("compare", "zoo:qwen", *suite, "--shard", f"{index}/2", "--out", f"shards/{index}")
        assert code == 0, err
    code, _, err = fourways("merge", "whole", "shards/2")
    assert code == 2 and "error: shard 1 of 2 is not here" in err
    code, out, err = fourways("merge", "whole", "shards/2", "shards/1")
    assert code == 0, err
    assert "qwen" in out and "run: whole" in out
    assert (tmp_path / "whole" / "report.html").is_file()
