"""The plain loop's side of `eval_vs_kits.py`: `plain_loop.py` on the file's rows, one after the other.

python plain_side.py JOB.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from fourways.benchmarks import registry
from plain_loop import PlainLoop

JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())


def main() -> None:
    torch.set_num_threads(JOB["threads"])
    loop = PlainLoop(Path(JOB["checkpoint"]))
    benchmark = registry.get("mmbench_en")
    replies: dict[str, str] = {}
    prompts: dict[str, str] = {}
    times: list[tuple[float, float]] = []
    for sample in benchmark.read(Path(JOB["tsv"])):
        prompts[sample.id] = benchmark.prompt(sample, JOB["dialect"])
        _, replies[sample.id] = loop.answer(
            sample.image(), prompts[sample.id], JOB["tokens"], ignore_eos=JOB["ignore_eos"]
        )
        times.append((time.perf_counter(), time.process_time()))
    found = {
        "replies": replies, "prompts": prompts, "times": times,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }  # fmt: skip
    Path(JOB["out"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
