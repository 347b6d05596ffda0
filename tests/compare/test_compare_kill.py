"""A run that is killed at any moment and resumed gives the figures of one that was left alone."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fourways.benchmarks.registry import suite_of
from fourways.compare import Job, start
from fourways.compare.progress import Silent
from fourways.core.candidate import Candidate
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.core.run_files import ROWS_FILE, SUMMARY_FILE, read_rows, read_summary

KILLS = 2
LIMIT_S = 240


@pytest.fixture(scope="module")
def job(suite_folder: Path, models: Mapping[str, Path]) -> Job:
    """Thread counts are given, so that opening takes no trial of them."""
    places = {"mme": suite_folder / "mme" / "MME_Benchmark_release_version", "vqav2": suite_folder / "vqav2"}
    return Job((Candidate("qwen", model=str(models["qwen"]), threads=1),), ("accuracy",), suite_of(places))


@pytest.fixture(scope="module")
def asked(job: Job, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The same job as a command line."""
    file = tmp_path_factory.mktemp("candidates") / "one.yaml"
    file.write_text(yaml.safe_dump([{"name": "qwen", "model": job.candidates[0].model, "threads": 1}]))
    return [str(file), "--axes", "accuracy", *(f"--suite={key}={entry.path}" for key, entry in job.suite.items())]


def test_a_run_killed_twice_gives_the_figures_of_one_that_never_was(
    job: Job,
    asked: list[str],
    tmp_path: Path,
    same_figures: Callable[[Sequence[Figure], Sequence[Figure]], None],
    command_line: Callable[[list[str], Path], Any],
) -> None:
    whole = start(replace(job, out=tmp_path / "whole"), Silent())
    total = sum(1 for _ in read_rows(whole.folder / ROWS_FILE))
    chance = random.Random(20261122)
    killed = tmp_path / "killed"
    arguments = [*asked, "--out", str(killed)]
    for number in range(KILLS):
        least = total * number // KILLS
        line = command_line(arguments, killed)
        line.reach(chance.randint(least + 1, least + total // KILLS - 2))
        line.process.send_signal(signal.SIGKILL)
        said = line.process.communicate()
        assert line.process.returncode == -signal.SIGKILL, said
        assert not (killed / SUMMARY_FILE).exists()
        arguments = ["--resume", str(killed)]
    line = command_line(arguments, killed)
    said = line.process.communicate(timeout=LIMIT_S)
    assert line.process.returncode == 0, said
    same_figures(read_summary(killed).figures, whole.summary.figures)
    answers = [row for row in read_rows(killed / ROWS_FILE) if isinstance(row, AnswerRow)]
    assert len({(row.candidate, row.benchmark, row.sample) for row in answers}) == len(answers) == total


def test_ctrl_c_keeps_the_rows_and_says_how_to_go_on(
    asked: list[str], tmp_path: Path, command_line: Callable[[list[str], Path], Any]
) -> None:
    folder = tmp_path / "run"
    line = command_line([*asked, "--out", str(folder)], folder)
    line.reach(9)
    line.process.send_signal(signal.SIGINT)
    said = line.process.communicate(timeout=LIMIT_S)
    assert line.process.returncode == 130
    assert said.splitlines()[-1] == f"stopped; go on with: fourways compare --resume {folder}"
    assert "Traceback" not in said
    assert len(list(read_rows(folder / ROWS_FILE))) >= 9


def test_a_full_disk_is_one_line_and_the_rows_go_on_from_there(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_line: Callable[..., Any]
) -> None:
    monkeypatch.setenv("FOURWAYS_DEBUG", "")
    folder = tmp_path / "run"
    small = (
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (45000, resource.RLIM_INFINITY))"
    )
    line = command_line([*asked, "--out", str(folder)], folder, small)
    said = line.process.communicate(LIMIT_S)
    kept = len(list(read_rows(folder / ROWS_FILE)))
    assert line.process.returncode == 1, said
    assert "Traceback" not in said
    error, hint = said.splitlines()[-2:]
    assert error.startswith(f"error: {folder / ROWS_FILE} could not be written: ")
    assert f"its {kept} rows so far are kept" in error
    assert hint.endswith(f"fourways compare --resume {folder}")
    assert 5 < kept < 96
