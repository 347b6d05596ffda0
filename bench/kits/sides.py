"""Runs one side on one part of the file, in processes of its own, and reads what it wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kits import files

HERE = Path(__file__).parent
FIRST = 32
"""Replies of a rival that do not count for its steady state."""
Moment = tuple[float, float]
"""Seconds of the machine's clock, the same in all processes; seconds of the process's own processor time."""


@dataclass(frozen=True)
class Side:
    """A rival: the Python that has it, and the script that runs it."""

    name: str
    python: str
    script: str


@dataclass(frozen=True)
class Place:
    """What both sides are given. warm: questions that only ours is asked, before its measurement. tokens: the longest
    reply."""

    folder: Path
    checkpoint: Path
    dialect: str
    warm: list[files.Question]
    tokens: int = 64
    ignore_eos: bool = False


@dataclass(frozen=True)
class Measured:
    """replies, prompts: row → text. seconds: steady state for `counted` samples; cpu_seconds: processor time for them;
    whole_s: from the start of the process to its end."""

    replies: dict[str, str]
    prompts: dict[str, str]
    counted: int
    seconds: float
    cpu_seconds: float
    whole_s: float
    versions: dict[str, str]

    @property
    def rate(self) -> float:
        return self.counted / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds / self.counted * 1e3

    def figures(self) -> dict[str, float]:
        return {
            "samples": len(self.replies), "rate": self.rate, "counted": self.counted, "seconds": self.seconds,
            "cpu_ms": self.cpu_ms, "whole_s": self.whole_s, "load": os.getloadavg()[0],
        }  # fmt: skip


def rivals() -> dict[str, Side]:
    """Those that can run here. FOURWAYS_LMMS_EVAL and FOURWAYS_VLMEVALKIT name the Python of a kit's environment."""
    kits = {
        "lmms-eval": ("FOURWAYS_LMMS_EVAL", "lmms_eval_side.py"),
        "VLMEvalKit": ("FOURWAYS_VLMEVALKIT", "vlmevalkit_side.py"),
    }
    found = {name: Side(name, os.environ[key], script) for name, (key, script) in kits.items() if os.environ.get(key)}
    return found | {"plain loop": Side("plain loop", sys.executable, "plain_side.py")}


def rival(place: Place, side: Side, asked: Sequence[files.Question], threads: int) -> Measured:
    work = _fresh(place.folder / "rival")
    job = _job(place, work, asked, threads) | {"dialect": place.dialect}
    began = time.perf_counter()
    process = _start(side.python, side.script, job)
    found = _finish(process, work)
    whole = time.perf_counter() - began
    times: list[Moment] = found["times"]
    first = min(FIRST, len(times) // 2)
    (start, start_cpu), (end, end_cpu) = times[first - 1], times[-1]
    return Measured(
        found["replies"], found["prompts"], len(times) - first, end - start, end_cpu - start_cpu,
        whole, found["versions"],
    )  # fmt: skip


def ours(
    place: Place, asked: Sequence[files.Question], prompts: Mapping[str, str], threads: int, replicas: int
) -> Measured:
    """As many processes begin together, each with its share of the pictures."""
    works = [_fresh(place.folder / f"ours-{number}") for number in range(replicas)]
    jobs = [_job(place, work, asked[number::replicas], threads) for number, work in enumerate(works)]
    for job, work in zip(jobs, works, strict=True):
        job |= {"prompts": dict(prompts), "warm": str(files.write_tsv(work / "warm.tsv", place.warm))}
    began = time.perf_counter()
    started = [_start(sys.executable, "ours_side.py", job) for job in jobs]
    for process, work in zip(started, works, strict=True):
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            _finish(process, work)
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [_finish(process, work) for process, work in zip(started, works, strict=True)]
    replies = {row: reply for one in found for row, reply in one["replies"].items()}
    seconds = max(one["times"][-1][0] for one in found) - min(one["times"][0][0] for one in found)
    cpu = sum(one["times"][-1][1] - one["times"][0][1] for one in found)
    whole = time.perf_counter() - began
    return Measured(replies, dict(prompts), len(replies), seconds, cpu, whole, found[0]["versions"])


def _job(place: Place, work: Path, asked: Sequence[files.Question], threads: int) -> dict[str, Any]:
    return {
        "work": str(work), "checkpoint": str(place.checkpoint), "threads": threads, "tokens": place.tokens,
        "ignore_eos": place.ignore_eos, "out": str(work / "out.json"),
        "tsv": str(files.write_tsv(work / "asked.tsv", asked)),
        "parquet": str(files.write_parquet(work / "asked.parquet", asked)),
    }  # fmt: skip


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _start(python: str, script: str, job: dict[str, Any]) -> subprocess.Popen[str]:
    work = Path(job["work"])
    (work / "job.json").write_text(json.dumps(job))
    log = (work / "log.txt").open("w")
    command = [python, str(HERE / script), str(work / "job.json")]
    # A kit prints much; ours says one line.
    said = subprocess.PIPE if script == "ours_side.py" else log
    told = {
        "OMP_NUM_THREADS": str(job["threads"]), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "LMUData": str(work),
        "PYTHONPATH": str(HERE.parent if python == sys.executable else HERE / "without_cuda"),
    }  # fmt: skip
    # A session of its own: kernels that share the processor among sessions give two processes of one session on a
    # busy machine no more than one.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=said, stderr=log, text=True, cwd=work, env=os.environ | told,
        start_new_session=True,
    )  # fmt: skip


def _finish(process: subprocess.Popen[str], work: Path) -> dict[str, Any]:
    process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} ended with {process.returncode}:\n{(work / 'log.txt').read_text()[-3000:]}")
    found: dict[str, Any] = json.loads((work / "out.json").read_text())
    return found
