"""What does tracing cost a request? End-to-end time of the same question traced and not, drawn at random.

Rival: the same engine in the same process. The unit is a *turn*: at concurrency 1 one request, at concurrency 8 eight
that run together (they share the model's steps, so a single one of them cannot be traced alone in what it costs).
Turns come in pairs about the same pictures, the engine's caches off, so both do the same work; which of the two is
traced is drawn. Recorded is what a run records: stages, steps, memory, and a reader in another process.

Chosen before any result was seen: the ratio of a pair is that of the turns' mean e2e; the figure is the 20 % trimmed
mean of the logarithms, with Yuen's interval (Yuen 1974: t on the winsorised deviations), because other work on the
machine hits single turns hard and tracing does not. Beside it the same for processor time of this process.

    traced      a recording goes on; of each pair one turn's requests are recorded, the other's are not. Bar, over all
                models together, at either concurrency: the upper end of the 95 % interval of the ratio is at most 1.01.
    idle        nothing records; of each pair one turn runs the engine as it is, the other with every instrument taken
                out (no stages, no hooks, no calls of the trace). No bar.

The reader's processor time is given too, as a share of the time that the recording took.
Exit status 1 if the bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime
from math import exp, log, sqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch
from scipy.stats import t

from fourways import trace, zoo
from fourways.core.conversation import Conversation, Image
from fourways.core.request import Generate, Plan, Request
from fourways.engines import LocalEngine
from fourways.engines.local import encode, held, shown, stages, worker
from fourways.families.registry import find_family
from fourways.hub import resolve
from fourways.media import read_image

RESULTS = Path(__file__).parent / "results"
BAR = 1.01
TRIM = 0.2
SEED = 20261122
REPLY = Generate(32, ignore_eos=True)
WARM_UP = 5
CONCURRENCIES = (1, 8)
Way = Literal["traced", "idle"]


class Switch:
    """Whether the requests that start now are recorded, and whether the instruments are in."""

    def __init__(self) -> None:
        self.record = True
        self._track = trace.track
        trace.track = lambda label: self._track(label) if self.record else 0

    @contextmanager
    def bare(self) -> Iterator[None]:
        """The engine with every instrument taken out."""
        nothing = nullcontext()
        out: list[tuple[Any, str, Any]] = [
            (stages.Stages, "until", lambda *_: None), (stages.Stages, "end", lambda *_: None),
            (stages.Stages, "ms", lambda *_: {}), (stages.Stages, "show", lambda *_: None),
            (stages.Laps, "watch", lambda *_: nothing), (held.Held, "now", lambda *_: None),
            (worker, "shown", lambda *_: nothing), (encode, "shown", lambda *_: nothing),
            (shown.Decoding, "step", lambda *_: None), (shown.Decoding, "end", lambda *_: None),
            (worker.Worker, "_account", lambda *_: None), (trace, "track", lambda _: 0),
        ]  # fmt: skip
        before = [getattr(owner, name) for owner, name, _ in out]
        for owner, name, empty in out:
            setattr(owner, name, empty)
        try:
            yield
        finally:
            for (owner, name, _), value in zip(out, before, strict=True):
                setattr(owner, name, value)


@asynccontextmanager
async def engine_of(name: str) -> AsyncIterator[LocalEngine]:
    checkpoint = resolve(f"zoo:{name}", embedded={name: zoo.checkpoint(name)}, weights="trained")
    family = find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")
    engine = LocalEngine(family, threads=1, feature_cache_bytes=0, prefix_cache_bytes=0)
    try:
        yield engine
    finally:
        await engine.close()


async def turn(engine: LocalEngine, pictures: list[Image], name: str) -> tuple[float, float]:
    """(mean e2e, processor seconds of the process) of requests that are sent together."""

    async def one(number: int, picture: Image) -> float:
        began = last = time.perf_counter_ns()
        asked = Conversation.ask("Describe the picture.", picture)
        async for item in engine.stream(Request(f"{name}/{number}", asked, Plan("c"), REPLY)):
            last = item.time_ns
        return (last - began) / 1e9

    used = time.process_time()
    took = await asyncio.gather(*(one(n, picture) for n, picture in enumerate(pictures)))
    return statistics.fmean(took), time.process_time() - used


async def pairs(
    engine: LocalEngine, pictures: list[Image], together: int, count: int, way: Way, switch: Switch
) -> list[tuple[float, float]]:
    """(e2e, processor) with over without, of each pair."""
    draw, ratios = random.Random(f"{SEED} {way} {together}"), []
    for pair in range(-WARM_UP, count):
        chosen = [pictures[(pair * together + n) % len(pictures)] for n in range(together)]
        seen: dict[bool, tuple[float, float]] = {}
        first = draw.random() < 0.5
        for on in (first, not first):
            switch.record = on
            bare: Callable[[], Any] = switch.bare if way == "idle" and not on else nullcontext
            with bare():
                seen[on] = await turn(engine, chosen, f"{pair}/{on}")
        if pair >= 0:
            ratios.append((seen[True][0] / seen[False][0], seen[True][1] / seen[False][1]))
    return ratios


def trimmed(ratios: list[float]) -> tuple[float, float, float]:
    """(trimmed mean, lower, upper) of the ratios, on the scale of their logarithms."""
    logs = np.sort(np.log(ratios))
    n, cut = len(logs), int(TRIM * len(logs))
    kept = logs[cut : n - cut]
    winsorised = np.clip(logs, kept[0], kept[-1])
    error = float(winsorised.std(ddof=1)) * sqrt((n - 1) / (len(kept) * (len(kept) - 1)))
    half = float(t.ppf(0.975, len(kept) - 1)) * error
    middle = float(kept.mean())
    return exp(middle), exp(middle - half), exp(middle + half)


async def measure(name: str, together: int, count: int, pictures: list[Image], switch: Switch) -> list[dict[str, Any]]:
    made = []
    async with engine_of(name) as engine:
        for way in ("traced", "idle"):
            with tempfile.TemporaryDirectory() as folder:
                reader, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                recording = trace.recording(Path(folder)) if way == "traced" else nullcontext()
                with recording as made_of:
                    ratios = await pairs(engine, pictures, together, count, way, switch)
                    took = time.perf_counter() - began
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - reader.ru_utime - reader.ru_stime
            row = {
                "model": name, "concurrency": together, "way": way, "pairs": len(ratios),
                "e2e": trimmed([e2e for e2e, _ in ratios]), "processor": trimmed([cpu for _, cpu in ratios]),
                "spread_of_e2e": statistics.stdev(log(e2e) for e2e, _ in ratios),
                "reader_share_of_a_core": used / took if way == "traced" else None,
                "events": made_of.counts.events if made_of is not None else None,
                "dropped": made_of.counts.dropped if made_of is not None else None,
                "raw_e2e_ratios": [round(e2e, 5) for e2e, _ in ratios],
                "raw_processor_ratios": [round(cpu, 5) for _, cpu in ratios],
            }  # fmt: skip
            made.append(row)
            show(row)
    return made


def together_of(rows: list[dict[str, Any]], way: Way, together: int) -> dict[str, Any]:
    """All models as one."""
    own = [row for row in rows if (row["way"], row["concurrency"]) == (way, together)]
    e2e, cpu = ([r for row in own for r in row[f"raw_{what}_ratios"]] for what in ("e2e", "processor"))
    return {
        "model": "all", "concurrency": together, "way": way, "pairs": len(e2e), "e2e": trimmed(e2e),
        "processor": trimmed(cpu), "reader_share_of_a_core": None,
    }  # fmt: skip


def show(row: dict[str, Any]) -> None:
    e2e, cpu = (f"{row[key][0]:.4f} [{row[key][1]:.4f}, {row[key][2]:.4f}]" for key in ("e2e", "processor"))
    reader = "" if row["reader_share_of_a_core"] is None else f"; reader {row['reader_share_of_a_core']:.1%} of a core"
    what = "traced / not traced" if row["way"] == "traced" else "as it is / bare"
    print(f"{row['model']} x{row['concurrency']}: {what}: e2e {e2e}, processor {cpu}, n={row['pairs']} pairs{reader}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=400, help="of each model, at each concurrency")
    parser.add_argument("--models", nargs="*", default=list(zoo.NAMES))
    parser.add_argument("--out", type=Path, default=RESULTS / f"trace_overhead-{datetime.now(UTC):%Y-%m-%d}.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pictures = [read_image(png, name=str(n)) for n, png in enumerate(zoo.distinct_scenes(64, SEED))]
    switch, load = Switch(), psutil.getloadavg()[0]
    rows = [
        row
        for name in asked.models
        for together in CONCURRENCIES
        for row in asyncio.run(measure(name, together, asked.pairs, pictures, switch))
    ]
    pooled = [together_of(rows, way, together) for way in ("traced", "idle") for together in CONCURRENCIES]
    for row in pooled:
        show(row)
    met = all(row["e2e"][2] <= BAR for row in pooled if row["way"] == "traced")
    result = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}", "bar": BAR, "met": met, "trim": TRIM,
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}", "load_at_start": round(load, 2), "pooled": pooled, "rows": rows,
    }  # fmt: skip
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"bar {BAR:g}: {'met' if met else 'missed'}; {asked.out.name}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
