"""What is said around a run that is made again: how long it takes, that the machine is busy, and how to go on."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fourways.compare.job import Job
from fourways.compare.reproduce_told import busyness, opening, stopped
from fourways.core.candidate import Candidate
from fourways.core.run import Reading

CANDIDATES = (Candidate("qwen", model="zoo:qwen"),)
BUSY = Reading("system.load", "9 9 9 (1, 5, 15 minutes)", advice="9 tasks ran or waited on 2 cores")
CALM = Reading("system.load", "0 0 0 (1, 5, 15 minutes)")


def job(*axes: str) -> Job:
    return Job(CANDIDATES, axes, {}, quick=True)  # type: ignore[arg-type]


def test_it_says_how_many_starts_how_long_and_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.compare.reproduce_told.readings", lambda: (CALM,))
    whole = job("latency")
    assert list(opening(600.0, whole, whole, 3, Path("out"))) == [
        "3 starts, about 30 min (the old run took 10 min), into out"
    ]
    both = job("latency", "memory")
    [line] = opening(600.0, both, job("memory"), 1, Path("out"))
    assert line.startswith("1 start, about ") and "10 min), into out" in line


def test_a_time_that_only_copied_files_have_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.compare.reproduce_told.readings", lambda: (CALM,))
    for took in (0.0, -5.0, 1e7):
        [line] = opening(took, job("latency"), job("latency"), 3, Path("out"))
        assert "at the pace of the embedded models" in line and "took" not in line


def test_a_busy_machine_is_told_of_before_times_are_taken_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.compare.reproduce_told.readings", lambda: (BUSY,))
    whole = job("latency", "memory")
    _, said = opening(600.0, whole, whole, 3, Path("out"))
    assert "9 tasks ran or waited on 2 cores" in said and 'likely to be "not comparable"' in said
    assert len(list(opening(600.0, whole, job("memory"), 1, Path("out")))) == 1
    assert busyness((CALM,)) is None


def test_who_stops_it_is_given_the_commands_in_full_that_go_on_and_then_judge(tmp_path: Path) -> None:
    old, out = tmp_path / "the old", tmp_path / "out"
    folders = [out / "run", out / "latency-2"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").touch()
    told = stopped(old, folders, 3)
    assert told.exit_code == 130
    assert told.message == f"stopped; go on with: fourways compare --resume {folders[1]}"
    judge = (told.hint or "").partition(": ")[2]
    assert shlex.split(judge) == ["fourways", "reproduce", str(old), *(f"--rerun={one}" for one in folders)]
    assert "by 2 of 3 starts" in (told.hint or "")
    (folders[1] / "rows.jsonl").unlink()
    early = stopped(old, folders, 3)
    assert "--resume" not in early.message and early.message.endswith(f"--rerun={folders[0]}")
    (folders[0] / "rows.jsonl").unlink()
    assert stopped(old, folders[:1], 3).message == "stopped before anything was measured"
