"""Does `fourways reproduce` tell a run that came out the same from one that did not?

    python bench/reproduce.py WORK [--again 20] [--slowed 6]

WORK: a folder that keeps every run, so that the bench goes on where it was stopped. The source is copied there first,
so that a tree in which somebody works does not change half way.

- A quick comparison of the embedded models, and its reproduction on all four axes.
- `--again` unchanged re-runs of its latency, each judged alone, every three in a row as three fresh starts, and every
  one as the re-run of every other. None may be "not reproduced".
- `--slowed` re-runs by an engine that needs 1.5 times its processor time (slowed.py), spread among the others, judged
  alike. Every one should be "not reproduced".
- A checkpoint with noise in its weights, a benchmark with another prompt and its next version, and a scorer that was
  changed and kept its version: each must be "not reproduced".
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import fourways
from fourways.compare.reproduce import compared
from fourways.core.run_files import SUMMARY_FILE
from fourways.core.verdict import AxisVerdict
from fourways.evidence.comparison import Facts, judge
from fourways.evidence.environment import environment

HERE = Path(__file__).resolve().parent
FACTOR = 1.5
STARTS = 3
NOISE = 0.1
_RUN = "from fourways.cli.main import main; main()"
_MME = "benchmarks/mme.py"
PROMPT = (_MME, (
    ("    prompt_version: int = 1\n", "    prompt_version: int = 2\n"),
    ("        return sample.question\n", '        return f"Look closely. {sample.question}"\n'),
))  # fmt: skip
SCORER = (_MME, (
    ("return float(bool(sample.gold) and parsed == sample.gold[0])", "return float(parsed is not None)"),
))  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A copy of the package, and what is run beside it."""

    folder: Path

    def fourways(self, *words: str, slowed: bool = False) -> None:
        program = [str(HERE / "slowed.py"), str(FACTOR)] if slowed else ["-c", _RUN]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        print("  fourways", *words, "(slowed)" if slowed else "", flush=True)
        done = subprocess.run(
            [sys.executable, *program, *words], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1):
            raise SystemExit(f"fourways {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")

    def edited(self, folder: Path, file: str, changes: Sequence[tuple[str, str]]) -> Source:
        """A copy of the copy in which some lines are others."""
        if not folder.exists():
            shutil.copytree(self.folder, folder)
            path = folder / "fourways" / file
            text = path.read_text()
            for before, after in changes:
                assert before in text, (file, before)
                text = text.replace(before, after)
            path.write_text(text)
        return Source(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--again", type=int, default=20)
    parser.add_argument("--slowed", type=int, default=6)
    asked = parser.parse_args()
    work: Path = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    source = _source(work)
    base = work / "base"
    if not (base / SUMMARY_FILE).exists():
        source.fourways("compare", "zoo", "--quick", "--out", str(base))
    result: dict[str, Any] = _machine()
    result["catches"] = dict(_catches(source, work))
    result["whole"] = [_plain(one) for one in _again(source, base, work / "whole", starts=STARTS)]
    _times(source, base, work, asked.again, asked.slowed)
    result |= _judged(base, work)
    result["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
    target = HERE / "results" / f"reproduce-{datetime.now(UTC):%Y-%m-%d}.json"
    target.write_text(json.dumps(result, indent=1) + "\n")
    _tell(result)
    print(target)


def _source(work: Path) -> Source:
    folder = work / "source"
    if not folder.exists():
        ours = Path(fourways.__file__).resolve().parent
        shutil.copytree(ours, folder / "fourways", ignore=shutil.ignore_patterns("__pycache__"))
    return Source(folder)


def _machine() -> dict[str, Any]:
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {
        "bench": "reproduce",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": environment().cpu, "cores": os.cpu_count(), **versions},
        "load": os.getloadavg(),
    }


def _again(
    source: Source, run: Path, out: Path, *words: str, starts: int = 1, slowed: bool = False
) -> Sequence[AxisVerdict]:
    """The verdicts of a reproduction, which is made unless it is there."""
    if not (out / "comparison.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        source.fourways("reproduce", str(run), "--out", str(out), "--starts", str(starts), *words, slowed=slowed)
    folders = [out / "run", *sorted(out.glob("latency-*"))]
    return compared(run, folders).comparison.verdicts


def _times(source: Source, base: Path, work: Path, again: int, slowed: int) -> None:
    """Unchanged and slowed re-runs, the slowed ones spread among the others: the machine is the same to both."""
    every = max(1, again // max(1, slowed))
    for number in range(again):
        _again(source, base, work / f"unchanged-{number:02}", "--axes", "latency")
        if number % every == 0 and number // every < slowed:
            _again(source, base, work / f"slowed-{number // every:02}", "--axes", "latency", slowed=True)


def _judged(base: Path, work: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("unchanged", "slowed"):
        runs = [folder / "run" for folder in sorted(work.glob(f"{kind}-*")) if (folder / "run" / SUMMARY_FILE).exists()]
        alone = [_latency(base, [run]) for run in runs]
        three = [_latency(base, runs[n : n + STARTS]) for n in range(len(runs) - STARTS + 1)]
        found[kind] = {"runs": len(runs), "alone": alone, "three_starts": three}
    found["pairs"] = _pairs([base, *(folder / "run" for folder in sorted(work.glob("unchanged-*")))])
    return found


def _pairs(runs: Sequence[Path]) -> dict[str, int]:
    """Every unchanged run taken as the old one, and every other as its re-run: how many pairs differ, of how many."""
    facts = [Facts.read(run) for run in runs if (run / SUMMARY_FILE).exists()]
    judged = [
        any(one.ground == "latency" and one.verdict == "not reproduced" for one in judge(old, new).verdicts)
        for old in facts
        for new in facts
        if old is not new
    ]
    return {"pairs": len(judged), "not_reproduced": sum(judged)}


def _latency(base: Path, runs: Sequence[Path]) -> list[dict[str, Any]]:
    return [_plain(one) for one in compared(base, runs).comparison.verdicts if one.ground == "latency"]


def _catches(source: Source, work: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    model = work / "models" / "qwen"
    if not model.exists():
        shutil.copytree(source.folder / "fourways" / "zoo" / "checkpoints" / "qwen", model)
    run = work / "accuracy"
    if not (run / SUMMARY_FILE).exists():
        source.fourways("compare", str(model), "--axes", "accuracy", "--quick", "--out", str(run))
    unchanged = _again(source, run, work / "catch-nothing")
    yield "nothing", [_plain(one) for one in unchanged]
    for name, change in (("prompt", PROMPT), ("scorer", SCORER)):
        other = source.edited(work / f"source-{name}", *change)
        yield name, [_plain(one) for one in _again(other, run, work / f"catch-{name}")]
    if not (work / "catch-checkpoint" / "comparison.json").exists():
        _with_noise(model / "model.safetensors")
    yield "checkpoint", [_plain(one) for one in _again(source, run, work / "catch-checkpoint")]


def _with_noise(weights: Path) -> None:
    """Each tensor plus noise of a tenth of its own spread."""
    torch.manual_seed(0)
    tensors = load_file(weights)
    noisy = {name: t + NOISE * t.std() * torch.randn_like(t) if t.numel() > 1 else t for name, t in tensors.items()}
    save_file(noisy, weights, metadata={"format": "pt"})


def _plain(one: AxisVerdict) -> dict[str, Any]:
    return {
        "candidate": one.candidate,
        "ground": one.ground,
        "verdict": one.verdict,
        "reasons": list(one.reasons),
        "statistics": {name: round(value, 6) for name, value in one.statistics.items()},
    }


def _tell(result: dict[str, Any]) -> None:
    print("a whole reproduction:")
    for one in result["whole"]:
        print(f"  {one['candidate']} {one['ground']}: {one['verdict']}")
    for name, verdicts in result["catches"].items():
        print(f"{name}: " + ", ".join(f"{one['ground']} {one['verdict']}" for one in verdicts))
    for kind in ("unchanged", "slowed"):
        for way in ("alone", "three_starts"):
            judged = result[kind][way]
            counts = Counter(one["verdict"] for verdicts in judged for one in verdicts)
            caught = sum(any(one["verdict"] == "not reproduced" for one in verdicts) for verdicts in judged)
            print(f"{kind}, {way}: {dict(counts)}; {caught} of {len(judged)} re-runs are not reproduced")
    pairs = result["pairs"]
    print(f"every two unchanged runs: {pairs['not_reproduced']} of {pairs['pairs']} pairs are not reproduced")


if __name__ == "__main__":
    main()
