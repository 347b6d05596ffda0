"""Our side of `eval_vs_kits.py`: the accuracy axis on the local engine, on one part of the file.

    python ours_side.py JOB.json

It warms up on a few questions, empties the caches, says `ready` and waits for a line, so that two of them can begin
together. What is asked are the prompts that the rival wrote.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from fourways.axes.accuracy import Accuracy
from fourways.axes.contract import Opened, Settings
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.mmbench import MMBenchEN
from fourways.benchmarks.suite import Entry
from fourways.core.candidate import Candidate
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow
from fourways.engines import open_engine
from fourways.hub import look

JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())


class Asked(MMBenchEN):
    """MMBench in the rival's words and with its length of a reply."""

    def prompt(self, sample: Sample, dialect: str) -> str:
        written: str | None = JOB["prompts"].get(sample.id)
        return written if written is not None else super().prompt(sample, dialect)

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=JOB["tokens"], ignore_eos=JOB["ignore_eos"])


async def answer(opened: Opened, file: str) -> tuple[dict[str, str], list[tuple[float, float]]]:
    """Replies, and the moment and processor time of each row."""
    settings = Settings(seed=7, suite={"mmbench_en": Entry(Asked(), Path(file))}, workdir=Path(JOB["work"]))
    replies: dict[str, str] = {}
    times: list[tuple[float, float]] = [(time.perf_counter(), time.process_time())]
    async for row in Accuracy().rows([opened], settings, []):
        if not isinstance(row, AnswerRow) or row.status == "failed":
            raise SystemExit(f"the engine failed: {row}")
        replies[row.sample] = row.reply
        times.append((time.perf_counter(), time.process_time()))
    return replies, times


async def main() -> None:
    checkpoint = look(Path(JOB["checkpoint"]))
    candidate = Candidate("zoo", model=JOB["checkpoint"], threads=JOB["threads"])
    opened = Opened(candidate, checkpoint, await open_engine(candidate, checkpoint))
    await answer(opened, JOB["warm"])
    await opened.engine.clear_caches()
    print("ready", flush=True)
    sys.stdin.readline()
    replies, times = await answer(opened, JOB["tsv"])
    await opened.engine.close()
    found = {
        "replies": replies, "prompts": JOB["prompts"], "times": times,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }  # fmt: skip
    Path(JOB["out"]).write_text(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
