"""A run killed with SIGKILL at a random moment and resumed, against one that was never killed: ten times.

    python bench/kill_resume.py [--times 10] [--seed 1] [--images 40]

Each time the kill comes after a random share of the rows, at a random instant after that; the resumed run must end with
exactly the accuracy figures (values, intervals, n) of the whole run, and with every sample answered once. The embedded
models take turns. Prints one line a time; passes if all are equal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fourways import zoo
from fourways.compare import write_suite
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.core.run_files import ROWS_FILE, SUMMARY_FILE, read_rows, read_summary

COMMAND = [sys.executable, "-c", "from fourways.cli import main; main()", "compare"]
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Whole:
    """A run that was left alone."""

    arguments: list[str]
    figures: tuple[Figure, ...]
    rows: int


def lines(folder: Path) -> int:
    path = folder / ROWS_FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def finish(arguments: list[str]) -> None:
    """A run left alone to its end; what it said is shown if that is not a good one."""
    done = subprocess.run([*COMMAND, *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"fourways compare {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def run_whole(model: str, suite: Path, folder: Path) -> Whole:
    arguments = [f"zoo:{model}", "--axes", "accuracy", "--suite", str(suite)]
    finish([*arguments, "--out", str(folder)])
    return Whole(arguments, read_summary(folder).figures, lines(folder))


def kill_once(whole: Whole, folder: Path, chance: random.Random) -> int:
    """Starts the same run, kills it at a random moment, and says how many rows it had by then."""
    after = chance.randint(1, whole.rows - 1)
    command = [*COMMAND, *whole.arguments, "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and lines(folder) < after:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
    return lines(folder)


def once(whole: Whole, folder: Path, chance: random.Random) -> dict[str, object]:
    """One kill, one resume, and whether the result is the same."""
    had = kill_once(whole, folder, chance)
    killed = not (folder / SUMMARY_FILE).exists()
    finish(["--resume", str(folder)])
    answers = [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, AnswerRow)]
    distinct = {(row.candidate, row.benchmark, row.sample) for row in answers}
    same = read_summary(folder).figures == whole.figures and len(answers) == len(distinct) == whole.rows - 1
    return {"rows_when_killed": had, "rows": whole.rows, "killed_before_the_end": killed, "same": same}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=40, help="pictures in each of the suite's benchmarks")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_suite(folder / "suite", images=asked.images)
        names = zoo.NAMES[: asked.times]
        wholes = {name: run_whole(name, folder / "suite", folder / f"whole-{name}") for name in names}
        found = []
        for number in range(asked.times):
            name = names[number % len(names)]
            result = once(wholes[name], folder / f"killed-{number}", chance)
            found.append({"model": name, **result})
            print(f"{number + 1:>3}  {name:<10} killed at row {result['rows_when_killed']} of {result['rows']}:"
                  f" {'same figures' if result['same'] else 'DIFFERENT'}", flush=True)  # fmt: skip
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "cores": os.cpu_count()}
    about = {"bench": "kill_resume", "date": now.isoformat(timespec="seconds"), **machine, "seed": asked.seed}
    result = {**about, "images": asked.images, "times": found}
    (RESULTS / f"kill_resume-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(one["same"] for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
