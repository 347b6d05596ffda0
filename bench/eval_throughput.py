"""Samples per second of the accuracy axis against the plain loop that evaluation kits run.

    python bench/eval_throughput.py [--models qwen llava internvl] [--blocks 9] [--images 20]

Both sides answer the same questions about the same images, from the file's bytes to the reply's text, with the same
weights in fp32 on the CPU. A block is a suite of its own (new images, four questions an image where there is so much to
ask); the sides take turns block by block, and the engine's caches are emptied before each. Each side runs at its own
best number of threads. Prints the median ratio with its range; replies that differ are listed, and make the bench fail.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers

from fourways import zoo
from fourways.axes.accuracy import Accuracy, samples_of
from fourways.axes.contract import Opened, Settings
from fourways.benchmarks.registry import suite_of
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow
from fourways.engines import open_engine
from fourways.hub import look
from plain_loop import PlainLoop

BENCHMARKS = ("vqav2", "realworldqa", "mmbench_en", "refcoco")
THREADS = (1, 2)
TRIALS = 3
"""Each side's number of threads is chosen by its best rate of so many trials."""
BAR = 8.0
Replies = dict[tuple[str, str], str]
"""(benchmark, sample) → text, without an end that is half a character (the engine never shows one)."""


@dataclass(frozen=True)
class Timed:
    """replies: (benchmark, sample) → text. seconds: of the whole block, by the clock and of processor time."""

    replies: Replies
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return len(self.replies) / self.seconds


@dataclass(frozen=True)
class Result:
    """One family. ratios: of the blocks, sorted; cpu_ratios: the same by processor time, which a busy machine disturbs
    less. different: (benchmark, sample, engine's reply, plain loop's reply)."""

    model: str
    engine_threads: int
    plain_threads: int
    engine_trial_rates: dict[int, float]
    plain_trial_rates: dict[int, float]
    blocks: list[dict[str, float]]
    ratio_median: float
    ratios: list[float]
    cpu_ratios: list[float]
    different: list[tuple[str, ...]]
    engine_settings: dict[str, str]

    def line(self) -> str:
        verdict = "meets" if self.ratio_median >= BAR else "MISSES"
        spread = f"{self.ratios[0]:.2f}–{self.ratios[-1]:.2f}, {len(self.ratios)} blocks"
        cpu = f"{statistics.median(self.cpu_ratios):.2f} by processor time"
        threads = f"engine on {self.engine_threads} thread(s), plain loop on {self.plain_threads}"
        return (
            f"{self.model}: ratio {self.ratio_median:.2f} ({spread}; {cpu}), {verdict} {BAR:g}; {threads}; "
            f"{len(self.different)} different replies"
        )


def make_suite(folder: Path, seed: int, images: int) -> Settings:
    suite = zoo.write_suite(folder, images=images, seed=seed, questions=4)
    return Settings(seed=seed, suite=suite_of({key: suite[key] for key in BENCHMARKS}), workdir=folder)


def run_plain(loop: PlainLoop, dialect: str, settings: Settings, threads: int) -> Timed:
    torch.set_num_threads(threads)
    replies: Replies = {}
    began, cpu = time.perf_counter(), time.process_time()
    for key, entry in settings.suite.items():
        for sample in samples_of(entry, settings):
            wanted = entry.benchmark.output(sample)
            assert isinstance(wanted, Generate)
            _, text = loop.answer(sample.image(), entry.benchmark.prompt(sample, dialect), wanted.max_tokens)
            replies[key, sample.id] = text.rstrip("\ufffd")
    return Timed(replies, time.perf_counter() - began, time.process_time() - cpu)


async def run_engine(opened: Opened, settings: Settings) -> Timed:
    await opened.engine.clear_caches()
    replies: Replies = {}
    began, cpu = time.perf_counter(), time.process_time()
    async for row in Accuracy().rows([opened], settings, []):
        if not isinstance(row, AnswerRow) or row.status == "failed":
            raise SystemExit(f"the engine failed: {row}")
        replies[row.benchmark, row.sample] = row.reply.rstrip("\ufffd")
    return Timed(replies, time.perf_counter() - began, time.process_time() - cpu)


async def open_at(name: str, checkpoint: Checkpoint, threads: int) -> Opened:
    candidate = Candidate(name, model=f"zoo:{name}", threads=threads)
    return Opened(candidate, checkpoint, await open_engine(candidate, checkpoint))


async def bench(name: str, folder: Path, blocks: int, images: int) -> Result:
    checkpoint = look(zoo.checkpoint(name))
    loop = PlainLoop(checkpoint.folder)
    trial = make_suite(folder / f"{name}-trial", 1, max(2, images // 4))
    engines = {count: await open_at(name, checkpoint, count) for count in THREADS}
    dialect = engines[1].engine.info.dialect
    engine_rates, plain_rates = dict.fromkeys(THREADS, 0.0), dict.fromkeys(THREADS, 0.0)
    for count in THREADS * TRIALS:
        engine_rates[count] = max(engine_rates[count], (await run_engine(engines[count], trial)).rate)
        plain_rates[count] = max(plain_rates[count], run_plain(loop, dialect, trial, count).rate)
    ours, theirs = max(engine_rates, key=engine_rates.__getitem__), max(plain_rates, key=plain_rates.__getitem__)
    print(
        f"{name}: trial rates by threads: engine {_rates(engine_rates)}; plain loop {_rates(plain_rates)}", flush=True
    )
    raw: list[dict[str, float]] = []
    different: list[tuple[str, ...]] = []
    for block in range(blocks):
        settings = make_suite(folder / f"{name}-{block}", 100 + block, images)
        fast = await run_engine(engines[ours], settings)
        slow = run_plain(loop, dialect, settings, theirs)
        pairs = ((*key, fast.replies.get(key, ""), text) for key, text in slow.replies.items())
        different += [pair for pair in pairs if pair[-2] != pair[-1]]
        raw.append(
            {"samples": len(slow.replies), "engine_s": fast.seconds, "plain_s": slow.seconds,
             "engine_cpu_s": fast.cpu_seconds, "plain_cpu_s": slow.cpu_seconds}
        )  # fmt: skip
        line = f"engine {fast.rate:.1f}/s, plain loop {slow.rate:.1f}/s, ratio {fast.rate / slow.rate:.2f}"
        print(f"  block {block}: {len(slow.replies)} samples, {line}", flush=True)
    ratios = sorted(block["plain_s"] / block["engine_s"] for block in raw)
    cpu_ratios = sorted(block["plain_cpu_s"] / block["engine_cpu_s"] for block in raw)
    result = Result(
        name, ours, theirs, engine_rates, plain_rates, raw, statistics.median(ratios), ratios, cpu_ratios,
        different,
        engines[ours].engine.info.settings,
    )  # fmt: skip
    for opened in engines.values():
        await opened.engine.close()
    print(result.line(), flush=True)
    return result


def _rates(rates: dict[int, float]) -> str:
    return ", ".join(f"{count}: {rate:.1f}/s" for count, rate in rates.items())


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(zoo.NAMES), choices=zoo.NAMES)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--images", type=int, default=20, help="distinct images a benchmark and block")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [await bench(name, Path(folder), asked.blocks, asked.images) for name in asked.models]
    machine = {"cpu": _cpu(), "cores": os.cpu_count(), "load": os.getloadavg(), "python": platform.python_version()}
    written = {
        "bench": "eval_throughput",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine | {"torch": torch.__version__, "transformers": transformers.__version__},
        "bar": BAR,
        "benchmarks": BENCHMARKS,
        "images": asked.images,
        "results": [asdict(result) for result in results],
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    target = asked.out / f"eval_throughput-{datetime.now(UTC):%Y-%m-%d}.json"
    target.write_text(json.dumps(written, indent=1) + "\n")
    print(f"raw numbers: {target}")
    return 1 if any(result.different or result.ratio_median < BAR for result in results) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
