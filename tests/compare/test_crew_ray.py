"""Two real workers of a Ray cluster on this machine."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fourways.benchmarks.registry import suite_of
from fourways.compare import Job, Scale, start, write_suite
from fourways.compare.progress import Silent
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.core.run_files import ROWS_FILE, read_header, read_rows

pytest.importorskip("ray", reason="Ray is not installed: pip install 'fourways[ray]'")


@pytest.fixture(scope="module")
def job(models: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Job:
    places = {key: entry.path for key, entry in write_suite(tmp_path_factory.mktemp("s") / "s", images=40).items()}
    suite = suite_of({key: places[key] for key in ("mme", "vqav2", "mmbench_en")})
    return Job((Candidate("qwen", model=str(models["qwen"]), threads=1),), ("accuracy",), suite)


def answers(folder: Path) -> dict[tuple[str, str], tuple[object, float]]:
    rows = [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, AnswerRow)]
    assert not [key for key, count in Counter((row.benchmark, row.sample) for row in rows).items() if count > 1]
    return {(row.benchmark, row.sample): (row.parsed, row.score) for row in rows}


def test_a_worker_of_two_that_is_killed_costs_no_row_and_doubles_none(
    job: Job,
    tmp_path: Path,
    same_figures: Callable[[Sequence[Figure], Sequence[Figure]], None],
    own_processes: Callable[[str], list[psutil.Process]],
) -> None:
    alone = start(replace(job, out=tmp_path / "alone"), Silent())
    folder, killed, seen = tmp_path / "run", [], []

    def kill() -> None:
        end = time.monotonic() + 200
        path = folder / ROWS_FILE
        while time.monotonic() < end and (not path.exists() or path.read_bytes().count(b"\n") <= 30):
            time.sleep(0.002)
        seen.extend(own_processes("ray::Seat"))  # Ray names the process of an actor after its class
        seen[0].kill()
        killed.append(seen[0].pid)

    thread = threading.Thread(target=kill)
    thread.start()
    outcome = start(replace(job, out=folder, scale=Scale(replicas=2, ray="local")), Silent())
    thread.join()
    assert len(seen) == 2 and killed
    assert answers(folder) == answers(alone.folder)
    same_figures(outcome.summary.figures, alone.summary.figures)
    assert not outcome.failures
    (crew,) = read_header(folder).crews
    assert (crew.way, crew.workers, crew.address) == ("ray", 2, "local")
    _, alive = psutil.wait_procs(seen, timeout=10)
    assert not alive, "an actor outlived its run"


def test_a_cluster_that_is_not_there_is_told_before_anything_starts(job: Job, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no Ray cluster at"):
        start(replace(job, out=tmp_path / "run", scale=Scale(ray="127.0.0.1:9")), Silent())
    assert not (tmp_path / "run").exists()
