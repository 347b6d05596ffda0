"""How long does `fourways score` take on a whole MME result folder, start-up included? The bar: under 2 s.

2,374 lines in the 14 official files, as many pairs a subtask as MME has, seeded. The command is run as a person runs
it, in a process of its own, after one run that is not counted. Beside the wall time stands the processor's: where
others use the machine, the first is theirs too. The median of the wall times is judged.

Exit status 1 if it misses.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

import psutil

RESULTS = Path(__file__).parent / "results"
LIMIT_S = 2.0
SEED = 20261122
IMAGES = {
    "existence": 30, "count": 30, "position": 30, "color": 30, "posters": 147, "celebrity": 170, "scene": 200,
    "landmark": 200, "artwork": 200, "OCR": 20, "commonsense_reasoning": 70, "numerical_calculation": 20,
    "text_translation": 20, "code_reasoning": 20,
}  # fmt: skip
"""Images of each subtask; each has two questions."""


def write_results(folder: Path) -> int:
    """The result files, and how many lines they have."""
    draw, lines = random.Random(SEED), 0
    for task, images in IMAGES.items():
        rows = []
        for image in range(images):
            for gold in ("Yes", "No"):
                reply = gold if draw.random() < 0.8 else draw.choice(("Yes", "No", "It cannot be told."))
                rows.append(f"{image:06d}.jpg\tIs it so? Please answer yes or no.\t{gold}\t{reply}\n")
        (folder / f"{task}.txt").write_text("".join(rows), encoding="utf-8")
        lines += len(rows)
    return lines


def timed(folder: Path) -> tuple[float, float]:
    """(wall, processor) seconds of one run. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-c", "from fourways.cli import main; main()", "score", "mme", str(folder)]
    before = psutil.Process().cpu_times()
    start = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = perf_counter() - start
    after = psutil.Process().cpu_times()
    used = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return wall, used


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        lines = write_results(Path(name))
        timed(Path(name))
        runs = [timed(Path(name)) for _ in range(repeats)]
    walls, cpus = [wall for wall, _ in runs], [cpu for _, cpu in runs]
    passed = median(walls) < LIMIT_S
    print(
        f"{lines:,} lines: {median(walls):.2f} s wall ({min(walls):.2f} to {max(walls):.2f}), {median(cpus):.2f} s of "
        f"processor, medians of {repeats}; bar {LIMIT_S:g} s: {'pass' if passed else 'FAIL'}"
    )
    now = datetime.now(UTC)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "cores": psutil.cpu_count()}
    result = {
        "bench": "score_startup", "date": now.isoformat(timespec="seconds"), **machine,
        "load": list(psutil.getloadavg()), "lines": lines, "wall_s": walls, "cpu_s": cpus, "limit_s": LIMIT_S,
        "passed": passed,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"score_startup-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
