"""Peak memory of an accuracy run against the number of samples: 200 and 2,000, each in a fresh process.

    python bench/accuracy_memory.py [--models qwen llava internvl] [--few 200] [--many 2000] [--repeats 3]

The peak is that of the process's resident size, once the model was loaded and had answered a first small set. The
suite has two questions on each of its pictures, all pictures distinct. The rows are counted, not kept, as a run writes
them to its file. Passes if the larger run needs at most 16 MiB, or 5 % of the process, more than the smaller.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from fourways import zoo
from fourways.axes.accuracy import Accuracy
from fourways.axes.contract import Opened, Settings
from fourways.benchmarks.registry import suite_of
from fourways.core.candidate import Candidate
from fourways.core.rows import AnswerRow
from fourways.engines import open_engine
from fourways.hub import look
from fourways.trace.resident import PeakResident
from fourways.zoo.suite_files import write_mme

RESULTS = Path(__file__).parent / "results"
MIB = 2**20
GROWTH_MIB = 16.0
GROWTH_SHARE = 0.05


async def child(model: str, first: Path, suite: Path) -> None:
    """Answers the suite in this process and prints what it needed, as JSON."""
    candidate = Candidate(model, model=f"zoo:{model}", threads=1)
    checkpoint = look(zoo.checkpoint(model))
    engine = await open_engine(candidate, checkpoint)
    opened = [Opened(candidate, checkpoint, engine)]
    await _answer(opened, first)
    before = psutil.Process().memory_info().rss
    with PeakResident() as resident:
        samples = await _answer(opened, suite)
        peak = resident.peak()
    await engine.close()
    print(json.dumps({"samples": samples, "before_bytes": before, "peak_bytes": peak}))


async def _answer(opened: list[Opened], suite: Path) -> int:
    settings = Settings(seed=7, suite=suite_of({"mme": suite}), workdir=Path())
    answered = 0
    async for row in Accuracy().rows(opened, settings, ()):
        assert isinstance(row, AnswerRow) and row.status != "failed", row
        answered += 1
    return answered


def measure(model: str, first: Path, suite: Path) -> dict[str, int]:
    """One fresh process."""
    command = [sys.executable, __file__, "--child", model, str(first), str(suite)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(model: str, first: Path, suites: dict[int, Path], repeats: int) -> dict[str, object]:
    """Both sizes in turn, `repeats` times; medians of what each needed above its start."""
    raw: dict[int, list[dict[str, int]]] = {size: [] for size in suites}
    for _ in range(repeats):
        for size, suite in suites.items():
            raw[size].append(measure(model, first, suite))
    few, many = (median(one["peak_bytes"] for one in raw[size]) for size in suites)
    growth = (many - few) / MIB
    passed = growth <= max(GROWTH_MIB, GROWTH_SHARE * few / MIB)
    peaks = f"peak {few / MIB:.1f} MiB at {min(suites)} samples, {many / MIB:.1f} MiB at {max(suites)}"
    verdict = "pass" if passed else "FAIL"
    print(f"{model:<10} {peaks}: {growth:+.1f} MiB, medians of {repeats}: {verdict}", flush=True)
    return {"model": model, "few_bytes": few, "many_bytes": many, "growth_mib": growth, "passed": passed, "raw": raw}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(zoo.NAMES))
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("MODEL", "FIRST", "SUITE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        model, first, suite = asked.child
        asyncio.run(child(model, Path(first), Path(suite)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        first = write_mme(Path(folder) / "first", 1, 16)
        suites = {n: write_mme(Path(folder) / str(n), 2, n // 2) for n in (asked.few, asked.many)}
        found = [compare(model, first, suites, asked.repeats) for model in asked.models]
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "cores": psutil.cpu_count()}
    result = {"bench": "accuracy_memory", "date": now.isoformat(timespec="seconds"), **machine, "models": found}
    (RESULTS / f"accuracy_memory-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(one["passed"] for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
