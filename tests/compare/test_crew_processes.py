"""Several processes ask what one would ask: the same answers, each once, whichever of them dies."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fourways.benchmarks.registry import suite_of
from fourways.compare import Job, Outcome, Scale, resume, start, write_suite
from fourways.compare.progress import Silent
from fourways.core.candidate import Candidate
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.core.run_files import ROWS_FILE, read_header, read_rows

Same = Callable[[Sequence[Figure], Sequence[Figure]], None]
Processes = Callable[[str], list[psutil.Process]]
Answers = dict[tuple[str, str, str], tuple[object, float]]


@pytest.fixture(scope="module")
def job(models: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Job:
    """320 questions: enough that a worker can die in the middle of them."""
    places = {key: entry.path for key, entry in write_suite(tmp_path_factory.mktemp("s") / "s", images=40).items()}
    suite = suite_of({key: places[key] for key in ("mme", "vqav2", "mmbench_en")})
    return Job((Candidate("qwen", model=str(models["qwen"]), threads=1),), ("accuracy",), suite)


@pytest.fixture(scope="module")
def alone(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run of one process."""
    return start(replace(job, out=tmp_path_factory.mktemp("alone") / "run"), Silent())


def words(job: Job, tmp_path: Path, *more: str) -> list[str]:
    """The same job as a command line."""
    file = tmp_path / "one.yaml"
    file.write_text(yaml.safe_dump([{"name": "qwen", "model": job.candidates[0].model, "threads": 1}]))
    suite = [f"--suite={key}={entry.path}" for key, entry in job.suite.items()]
    return [str(file), "--axes", "accuracy", *suite, *more]


def answers(folder: Path) -> Answers:
    """What was answered; fails if anything was asked twice."""
    rows = [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, AnswerRow)]
    twice = [key for key, count in Counter((r.candidate, r.benchmark, r.sample) for r in rows).items() if count > 1]
    assert not twice
    return {(row.candidate, row.benchmark, row.sample): (row.parsed, row.score) for row in rows}


def killer(folder: Path, rows: int, workers: Callable[[], list[psutil.Process]]) -> tuple[threading.Thread, list[int]]:
    """A thread that kills one of the workers when the run has so many rows, and the id it killed."""
    killed: list[int] = []

    def work() -> None:
        path = folder / ROWS_FILE
        end = time.monotonic() + 120
        while time.monotonic() < end and (not path.exists() or path.read_bytes().count(b"\n") <= rows):
            time.sleep(0.002)
        for worker in workers()[:1]:
            worker.kill()
            killed.append(worker.pid)

    return threading.Thread(target=work), killed


def test_a_worker_that_is_killed_costs_no_row_and_doubles_none(
    job: Job, alone: Outcome, tmp_path: Path, same_figures: Same, own_processes: Processes, telling: Any
) -> None:
    thread, killed = killer(tmp_path / "run", 30, lambda: own_processes("fourways.compare.crew.at_work"))
    thread.start()
    outcome = start(replace(job, out=tmp_path / "run", scale=Scale(replicas=2)), telling)
    thread.join()
    assert killed, "nobody was killed: the run was over too soon"
    assert not psutil.pid_exists(killed[0])
    assert answers(outcome.folder) == answers(alone.folder)
    same_figures(outcome.summary.figures, alone.summary.figures)
    assert not outcome.failures
    (crew,) = read_header(outcome.folder).crews
    assert (crew.way, crew.workers) == ("replicas", 2)
    (told,) = (text for text in telling.told if "died" in text)
    assert told.startswith("qwen: a worker died, and what was in its hands was asked again: replica ")


def test_a_killed_run_goes_on_with_other_workers_and_says_so(
    job: Job, alone: Outcome, tmp_path: Path, same_figures: Same, command_line: Callable[[list[str], Path], Any]
) -> None:
    folder = tmp_path / "run"
    line = command_line(words(job, tmp_path, "--replicas", "2", "--out", str(folder)), folder)
    line.reach(40)
    workers = line.workers()
    line.process.send_signal(signal.SIGKILL)
    line.process.wait()
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "a worker outlived its run"
    assert 0 < line.rows() < len(answers(alone.folder))
    gone_on = resume(folder, replace(job, scale=Scale()), Silent())
    assert answers(folder) == answers(alone.folder)
    same_figures(gone_on.summary.figures, alone.summary.figures)
    assert [(crew.way, crew.workers) for crew in read_header(folder).crews] == [("replicas", 2), ("process", 1)]


def test_ctrl_c_stops_at_once_and_leaves_no_process(
    job: Job, tmp_path: Path, command_line: Callable[[list[str], Path], Any]
) -> None:
    folder = tmp_path / "run"
    line = command_line(words(job, tmp_path, "--replicas", "2", "--out", str(folder)), folder)
    line.reach(20)
    workers = line.workers()
    began = time.monotonic()
    line.process.send_signal(signal.SIGINT)
    said = line.process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert line.process.returncode == 130, said
    assert said.splitlines()[-1] == f"stopped; go on with: fourways compare --resume {folder}"
    assert "Traceback" not in said
    assert workers and not psutil.wait_procs(workers, timeout=5)[1]
