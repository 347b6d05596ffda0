"""Samples per second of the accuracy axis against lmms-eval, VLMEvalKit and the plain transformers loop.

    FOURWAYS_LMMS_EVAL=… FOURWAYS_VLMEVALKIT=… python bench/eval_vs_kits.py [--models qwen] [--blocks 3]

The two variables name the Python of an environment that has the kit (bench/README.md says how to make one). All sides
answer the same 4,329 rows of a circular MMBench file (1,164 questions about the zoo's held-out scenes, two to four
options, every rotation), with the same checkpoint in fp32 on the CPU, in the rival's own prompt, greedily. The file is
cut into blocks; in each the rival runs, then ours in one process, then ours in two that have half the pictures each.
Every side is a process of its own, on its better number of threads of 1 and 2.

Steady state: the rival from its 32nd reply to its last; ours from the first request to the last row, after a warm-up
on other questions and with empty caches. Whole process: from its start to its end. Replies that differ are listed and
make the bench fail. A second part has a model of about 100 M random parameters, which answers with two tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fourways import zoo
from kits import files
from kits.larger import write_larger
from kits.sides import Measured, Place, Side, ours, rival, rivals

QUESTIONS, TWO, THREE = 1164, 100, 127
"""As many as MMBench's DEV split has, in 4,329 rows."""
WARM, TRIAL = 12, 15
"""Questions of the warm-up, and of the choice of a number of threads."""
THREADS = (1, 2)
BARS = {"lmms-eval": 10.0, "VLMEvalKit": 10.0, "plain loop": 12.0}
LARGER_BAR = 3.0
DIALECTS = {"qwen": "qwen2.5-vl", "llava": "llava-next", "internvl": "internvl"}


@dataclass
class Ratios:
    """Ours over the rival's, one a block: samples per second, and processor time a sample."""

    clock: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, mine: Measured, theirs: Measured) -> None:
        self.clock.append(mine.rate / theirs.rate)
        self.cpu.append(theirs.cpu_ms / mine.cpu_ms)

    def line(self) -> str:
        return f"{_spread(self.clock)} by the clock, {_spread(self.cpu)} by processor time"


@dataclass
class Result:
    """One rival and one model. runs: per block and way (`rival`, `one process`, `two replicas`) what was measured.
    different: (row, our reply, theirs)."""

    model: str
    rival: str
    bar: float
    threads: dict[str, int]
    runs: list[dict[str, dict[str, float]]]
    ratios: dict[str, Ratios]
    rows: int
    different: list[tuple[str, str, str]]
    versions: dict[str, str]

    @property
    def met(self) -> bool:
        best = max(statistics.median(ratios.clock) for ratios in self.ratios.values())
        return best >= self.bar and not self.different

    def told(self) -> str:
        lines = [f"{self.model} against {self.rival} ({_versions(self.versions)}), {self.rows} rows:"]
        lines += [f"  {way}: {ratios.line()}" for way, ratios in self.ratios.items()]
        lines.append(f"  {len(self.different)} replies differ; bar {self.bar:g}: {'met' if self.met else 'MISSED'}")
        return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def better_threads(place: Place, side: Side, trial: list[files.Question]) -> dict[str, int]:
    """The number of threads of 1 and 2 on which each side is faster, the rival and ours in one process."""
    found: dict[str, dict[int, float]] = {"rival": {}, "ours": {}}
    for threads in THREADS:
        theirs = rival(place, side, trial, threads)
        found["rival"][threads] = theirs.rate
        found["ours"][threads] = ours(place, trial, theirs.prompts, threads, 1).rate
    return {who: max(rates, key=rates.__getitem__) for who, rates in found.items()}


def bench(place: Place, model: str, side: Side, bar: float, blocks: list[list[files.Question]]) -> Result:
    threads = better_threads(place, side, blocks[0][:TRIAL])
    ratios = {"one process": Ratios(), "two replicas": Ratios()}
    runs, different = [], []
    rows, versions = 0, {}
    for block in blocks:
        theirs = rival(place, side, block, threads["rival"])
        ways = {
            "one process": ours(place, block, theirs.prompts, threads["ours"], 1),
            "two replicas": ours(place, block, theirs.prompts, 1, 2),
        }
        for way, mine in ways.items():
            ratios[way].add(mine, theirs)
            pairs = ((row, mine.replies.get(row, ""), reply) for row, reply in theirs.replies.items())
            different += [pair for pair in pairs if _text(pair[1]) != _text(pair[2])]
        runs.append({way: measured.figures() for way, measured in {"rival": theirs, **ways}.items()})
        rows, versions = rows + len(theirs.replies), theirs.versions
        rates = ", ".join(f"{way} {found['rate']:.1f}/s" for way, found in runs[-1].items())
        print(f"  {model}, {side.name}: {len(theirs.replies)} rows; {rates}; load {os.getloadavg()[0]:.1f}", flush=True)
    result = Result(model, side.name, bar, threads, runs, ratios, rows, different, versions)
    print(result.told(), flush=True)
    return result


def _text(reply: str) -> str:
    """Without an end that is half a character, which the engine never shows."""
    return reply.rstrip("\ufffd")


def split(asked: list[files.Question], blocks: int) -> list[list[files.Question]]:
    size = -(-len(asked) // blocks)
    return [asked[start : start + size] for start in range(0, len(asked), size)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["qwen"], choices=zoo.NAMES)
    parser.add_argument("--rivals", nargs="+", default=list(BARS), choices=list(BARS))
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--larger", type=int, default=60, help="questions for the model of 100 M parameters; 0: none")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    share = asked.questions / QUESTIONS
    made = files.questions(asked.questions + WARM, round(TWO * share), round(THREE * share), 2026)
    warm, made = made[:WARM], made[WARM:]
    sides = {name: side for name, side in rivals().items() if name in asked.rivals}
    began = os.getloadavg()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for model in asked.models:
            place = Place(Path(folder), zoo.checkpoint(model), DIALECTS[model], warm)
            for name, side in sides.items():
                results.append(bench(place, model, side, BARS[name], split(made, asked.blocks)))
                write(asked.out, results, began)
        if asked.larger:
            checkpoint, parameters = write_larger(Path(folder) / "larger")
            place = Place(Path(folder), checkpoint, DIALECTS["qwen"], warm[:2], tokens=2, ignore_eos=True)
            four = [question for question in made if len(question) == 4][: asked.larger]
            plain = rivals()["plain loop"]
            results.append(
                bench(place, f"random weights, {parameters / 1e6:.0f} M", plain, LARGER_BAR, split(four, asked.blocks))
            )
    write(asked.out, results, began)
    missing = [name for name in asked.rivals if name not in sides]
    if missing:
        print(f"not measured, no environment is named for it: {', '.join(missing)}")
    # The plain loop's bar stands in for a kit that is not there; beside both kits it is only told.
    judged = [one for one in results if missing or one.rival != "plain loop" or one.bar == LARGER_BAR]
    return 0 if all(one.met for one in judged) else 1


def write(folder: Path, results: list[Result], began: tuple[float, float, float]) -> None:
    now = datetime.now(UTC)
    machine = {
        "cpu": _cpu(), "cores": os.cpu_count(), "load_before": began, "load_after": os.getloadavg(),
        "python": platform.python_version(),
    }  # fmt: skip
    written = {
        "bench": "eval_vs_kits",
        "date": now.isoformat(timespec="seconds"),
        "machine": machine,
        "results": [asdict(result) | {"met": result.met} for result in results],
    }
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"eval_vs_kits-{now:%Y-%m-%d}.json"
    target.write_text(json.dumps(written, indent=1) + "\n")
    print(f"raw numbers: {target}")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    sys.exit(main())
