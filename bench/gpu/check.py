"""Full-size shapes on one GPU, in under 8 minutes: does what Fourways says of latency and memory hold there?

    PYTHONPATH=src python bench/gpu/check.py
    PYTHONPATH=src python bench/gpu/check.py --device cpu --small        every step, on the embedded shapes

Qwen2.5-VL-7B, LLaVA-NeXT-7B and InternVL3-8B in bf16, with random weights from the configurations that ship: no
network, nothing downloaded. One model on the device at a time. Of each: closed loops of 1, 8 and 32 (`fourways load`'s
own code), the device's clock against the host's, the physical limits, then one probe of the memory axis in a fresh
process beside what was predicted from the config; of the first, what tracing costs. All goes into one run folder
(header, rows, figures, traces, page) with `check.json` beside it, which is small enough to keep.

A step that fails or takes too long is a line in the summary, and exit status 1; what was measured stays.

Needs Python 3.11 or later and: torch>=2.11 transformers>=5.17 (with huggingface_hub, httpx, tokenizers, safetensors),
peft (with accelerate), msgspec, numpy, scipy, Pillow, psutil, PyYAML, rich, filelock; with nvidia-ml-py also joules,
driver and memory of the process. Fourways itself need not be installed. Where msgspec is missing and there is no
network, bring its wheel, unpacked: `pip download msgspec --no-deps --python-version 3.12 --only-binary :all:`,
`unzip msgspec-*.whl -d wheels`, and PYTHONPATH=src:wheels.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import platform
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import trace_overhead
from fourways import figures, trace, zoo
from fourways.axes.contract import Opened, Settings
from fourways.axes.kernels import device_clock
from fourways.axes.memory import Memory
from fourways.axes.roofline import roofline
from fourways.compare.folder import RunFolder, check_new, make
from fourways.compare.loading.job import LoadJob
from fourways.compare.loading.sending import Supply, plan_of
from fourways.compare.loading.sweeping import Round, swept
from fourways.compare.opening import EnginePool, Failed, find_checkpoints
from fourways.compare.progress import Lines
from fourways.compare.publishing import publish
from fourways.compare.tracing import traced
from fourways.compare.workloads import open_workload
from fourways.core.candidate import Candidate, Dtype
from fourways.core.errors import FourwaysError, Undefined
from fourways.core.events import Done, Event
from fourways.core.load import Load
from fourways.core.request import Request
from fourways.core.rows import FailureRow, MemoryPredictedRow, MemoryRow, RequestRow, Row
from fourways.core.run import CandidateRecord, ClockRecord, RunHeader, RunState
from fourways.core.run_files import ROWS_FILE, read_rows, read_summary, write_whole
from fourways.engines.local import LocalEngine
from fourways.evidence import build_header, new_run_id, write_header
from fourways.evidence.environment import environment
from fourways.load import Workload
from fourways.media import read_image
from fourways.trace import nvml

RESULTS = Path(__file__).resolve().parents[1] / "results"
SEED = 20261122
TOTAL_S, STEP_S, LAST_WORDS_S = 480.0, 120.0, 60.0
TRACE_BAR = trace_overhead.BAR
KEPT = (
    "ttft_p50", "e2e_p50", "tpot_p50", "stage_p50", "requests_per_s", "tokens_per_s", "failed", "joules_per_answer",
    "roofline_share", "roofline_limit", "copy_bandwidth", "matmul_rate", "peak_memory", "weights", "kv_per_token",
    "stage_peak", "train_step_peak", "non_torch", "predicted_over_measured", "client_lag_p99",
)  # fmt: skip
"""Figures that the summary repeats."""
T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """What is asked. loads: (concurrency, requests). limits: of how many requests at concurrency 1 the required work is
    counted. pairs: of the trace's overhead."""

    models: tuple[str, ...]
    dtype: Dtype
    workload: str
    loads: tuple[tuple[int, int], ...]
    warm_up: int
    limits: int
    pairs: int


FULL = Size(
    ("Qwen2.5-VL-7B-Instruct", "llava-v1.6-mistral-7b-hf", "InternVL3-8B-hf"), "bfloat16",
    str(Path(__file__).resolve().parent / "photo.yaml"), ((1, 8), (8, 24), (32, 64)), 4, 8, 12,
)  # fmt: skip
SMALL = Size(tuple(f"zoo:{name}" for name in zoo.NAMES), "float32", "describe-32", ((1, 8), (8, 16), (32, 32)), 2, 8, 6)
PLAN = f"""time plan, for a card of the A100's kind; it ends after {TOTAL_S:.0f} s whatever is left
  each of three models: open 15 s; 1, 8 and 32 at a time 15, 15 and 30 s; clock 10 s; limits 10 s; memory 40 s
  the first: what tracing costs, 30 s"""


class StepFailed(Exception):
    """Something that a step should have made is not there, or is an error."""


@dataclass
class Steps:
    """Runs one step after the other, whatever becomes of them. made: what each came to."""

    ends_at: float
    made: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, model: str, what: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the step gives; None if it failed, which is written down."""
        began, failure, result = time.monotonic(), None, None
        limit = min(STEP_S, self.ends_at - began)
        try:
            if limit <= 0:
                raise StepFailed("not begun: no time was left")
            async with asyncio.timeout(limit):
                result = await work()
        except TimeoutError:
            failure = f"stopped after {time.monotonic() - began:.0f} s"
        except Exception as error:
            failure = _told(error)
        took = round(time.monotonic() - began, 1)
        self.made.append({"model": model, "step": what, "seconds": took, "failure": failure})
        print(f"{model}: {what}: {took} s{'' if failure is None else f': FAILED: {failure}'}", flush=True)
        return result

    @property
    def failures(self) -> list[str]:
        return [f"{one['model']}: {one['step']}: {one['failure']}" for one in self.made if one["failure"] is not None]


def _told(error: Exception) -> str:
    text = error.message if isinstance(error, FourwaysError) else str(error)
    known = isinstance(error, FourwaysError | StepFailed)
    return " ".join((text if known else f"{type(error).__name__}: {text}").split())[:300]


@dataclass
class Check:
    """One run of the check: the folder that grows, and what the summary says beyond the run's own figures."""

    size: Size
    candidates: tuple[Candidate, ...]
    pool: EnginePool
    drawn: Workload
    folder: RunFolder
    steps: Steps
    records: list[CandidateRecord]
    overhead: dict[str, Any] | None = None
    clocks: dict[str, ClockRecord] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(SEED, {}, self.folder.path)

    async def measured(self) -> None:
        """All models, one after the other."""
        for place, candidate in enumerate(self.candidates):
            name = candidate.name
            one = await self.steps.run(name, "open", lambda at=place: self._opened(at))
            if one is not None:
                await self._timed(one)
                if place == 0:
                    await self.steps.run(name, "trace overhead", lambda one=one: self._overhead(one))
                await self.steps.run(name, "physical limits", lambda one=one: self._limits(one))
            del one  # or its model would stay on the device
            await self.steps.run(name, "close", lambda: self.pool.only(()))
            await self.steps.run(name, "memory", lambda at=place: self._memory(self.records[at]))

    async def _opened(self, place: int) -> Opened:
        candidate = self.candidates[place]
        self.records[place] = await self.pool.record(candidate)
        self._rewrite()
        (one,) = await self.pool.only([candidate])
        if isinstance(one, Failed):
            raise one.error
        return one

    async def _timed(self, one: Opened) -> None:
        """Every load and the device's clock, under one trace."""
        name, supply, before = one.candidate.name, Supply(self.drawn), len(self.steps.failures)
        requests = sum(count for _, count in self.size.loads)
        with traced(self.folder, "latency", requests, print) as recording:
            for concurrency, count in self.size.loads:
                await self.steps.run(
                    name, f"{concurrency} at a time",
                    lambda at=concurrency, count=count: self._loaded(one, supply, Load(concurrency=at), count),
                )  # fmt: skip
            await self.steps.run(name, "clock", lambda: self._clock(one))
            if recording is not None and self.clocks:
                recording.clock = max(self.clocks.values(), key=lambda clock: clock.residual_p99_ns or 0.0)
        if len(self.steps.failures) == before:
            self.folder.finish("latency", name)

    async def _loaded(self, one: Opened, supply: Supply, load: Load, count: int) -> None:
        await one.engine.clear_caches()
        blocks = max(1, min(2, count // (load.concurrency or 1)))
        job = LoadJob((one.candidate,), self.size.workload, (load,), count, None, self.size.warm_up, blocks, seed=SEED)
        await self._take(swept([one], self.drawn, supply, job, Round(), Lines()))

    async def _clock(self, one: Opened) -> None:
        clock = await device_clock([one], self.settings)
        if clock is not None:
            self.clocks[one.candidate.name] = clock
        elif one.candidate.device != "cpu":
            raise StepFailed("torch.profiler gave no kernels (CUPTI is missing, or another profiler holds the device)")

    async def _limits(self, one: Opened) -> None:
        """Of the requests that were timed one at a time."""
        asks = await asyncio.to_thread(
            self.drawn.asks, plan_of(one), engine=one.engine.info, items=range(self.size.limits), run_seed=SEED,
            prefix="limits",
        )  # fmt: skip
        decoded = [ask if ask.read is None else replace(ask, request=ask.read()) for ask in asks]
        await self._take(roofline(one, self.drawn.name, decoded))

    async def _overhead(self, one: Opened) -> None:
        """`trace_overhead.py`'s pairs of requests, one of each traced, the caches emptied before every one."""
        assert isinstance(one.engine, LocalEngine)
        pictures = [read_image(png, name=str(n)) for n, png in enumerate(zoo.distinct_scenes(self.size.pairs, SEED))]
        track = trace.track
        try:
            switch = trace_overhead.Switch()
            with tempfile.TemporaryDirectory() as place, trace.recording(Path(place)):
                ratios = await trace_overhead.pairs(
                    Forgetful(one.engine), pictures, 1, self.size.pairs, "traced", switch
                )
        finally:
            trace.track = track
        ratio, low, high = trace_overhead.trimmed([e2e for e2e, _ in ratios])
        self.overhead = {
            "model": one.candidate.name, "pairs": len(ratios), "concurrency": 1, "e2e_ratio": ratio, "low": low,
            "high": high, "bar": TRACE_BAR, "met": high <= TRACE_BAR,
        }  # fmt: skip

    async def _memory(self, record: CandidateRecord) -> None:
        (closed,) = await self.pool.none([record])
        if isinstance(closed, Failed):
            raise closed.error
        await self._take(Memory(repeats=1).rows([closed], self.settings, ()))
        self.folder.finish("memory", record.candidate.name)

    async def _take(self, rows: AsyncIterator[Row]) -> None:
        """Every row into the folder. Raises StepFailed if one says that something broke."""
        broken: list[str] = []
        async with aclosing(rows) as coming:  # type: ignore[type-var]  # rows are generators
            async for row in coming:
                self.folder.append(row)
                if isinstance(row, RequestRow) and row.error is not None:
                    broken.append(row.error)
                elif isinstance(row, FailureRow) and row.status == "failed":
                    broken.append(f"{row.where}: {row.message}")
        if broken:
            raise StepFailed(f"{len(broken)} failed; the first: {broken[0]}")

    def _rewrite(self) -> None:
        old = self.folder.header
        new = header_of(old.run_id, self.records, self.drawn)
        self.folder.rewrite(msgspec.structs.replace(new, started=old.started, traces=old.traces, clock=old.clock))


class Forgetful:
    """An engine to which every picture is new."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        await self._engine.clear_caches()
        async for item in self._engine.stream(request):
            yield item


# -- what it came to -------------------------------------------------------------------------------------------------
def summary(check: Check, seconds: float) -> dict[str, Any]:
    """What is kept: no path, no command line."""
    rows = list(read_rows(check.folder.path / ROWS_FILE))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}", "seconds": round(seconds, 1), "source": check.folder.header.source,
        "device": _device(check.candidates[0].device), "environment": environment(), "size": check.size.dtype,
        "loads": check.size.loads, "workload": check.drawn.name, "failures": check.steps.failures,
        "room": [_room(one, rows) for one in check.records if one.engine is not None],
        "memory": [line for one in check.candidates for line in _memory_lines(one.name, rows)],
        "trace_overhead": check.overhead, "clock": check.clocks, "steps": check.steps.made,
        "figures": [_short(one) for one in read_summary(check.folder.path).figures if one.metric in KEPT],
    }  # fmt: skip


def _device(device: str) -> dict[str, Any]:
    if device == "cpu":
        return {"name": platform.machine(), "kind": "cpu"}
    card = torch.cuda.get_device_properties(device)
    try:
        driver = str(nvml.load().nvmlSystemGetDriverVersion())
    except Undefined as error:
        driver = f"unknown: {error.reason}"
    return {
        "name": card.name, "kind": re.sub(r"\W+", "-", card.name).strip("-").lower(),
        "memory_bytes": card.total_memory, "capability": f"{card.major}.{card.minor}", "driver": driver,
        "cuda": torch.version.cuda,
    }  # fmt: skip


def _room(record: CandidateRecord, rows: Sequence[Row]) -> dict[str, Any]:
    """How many requests the engine's keys and values have room for at once; beyond them requests wait."""
    name = record.candidate.name
    each = [r.bytes for r in rows if isinstance(r, MemoryRow) and (r.candidate, r.stage) == (name, "kv_per_token")]
    asked = [r for r in rows if isinstance(r, RequestRow) and r.candidate == name and r.prompt_tokens is not None]
    longest = max(((r.prompt_tokens or 0) + (r.output_tokens or 0) for r in asked), default=0)
    assert record.engine is not None
    kv_bytes = int(record.engine.settings["kv_bytes"])
    at_once = kv_bytes // (each[0] * longest) if each and longest else None
    return {"model": name, "kv_bytes": kv_bytes, "tokens_a_request": longest, "requests_at_once": at_once}


def _memory_lines(name: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Measured against predicted, of each reading that was foretold. error: of what comes beside the weights, where
    measured holds cuBLAS's workspaces too (8 MiB; 32 on Hopper and later) and predicted does not."""
    own = [r for r in rows if isinstance(r, MemoryRow | MemoryPredictedRow) and r.candidate == name]
    measured = {(r.stage, r.quantity): r.bytes for r in own if isinstance(r, MemoryRow)}
    foretold = {(r.stage, r.quantity): r.bytes for r in own if isinstance(r, MemoryPredictedRow)}
    weights = measured.get(("weights", "exact"), 0)
    lines = []
    for (stage, quantity), predicted in foretold.items():
        found = measured.get((stage, quantity))
        beside = None if found is None else found - (0 if quantity == "exact" else weights)
        error = None if found is None or not beside else abs(predicted - found) / beside
        lines.append(
            {
                "model": name, "stage": stage, "quantity": quantity, "measured": found, "predicted": predicted,
                "beside_weights": beside, "error": error,
            }
        )  # fmt: skip
    return lines


def _short(one: figures.Figure) -> dict[str, Any]:
    return {
        "candidate": one.candidate, "metric": one.definition, "labels": one.labels, "unit": one.unit,
        "value": one.value, "low": one.low, "high": one.high, "n": one.n, "status": one.status,
    }  # fmt: skip


def show(made: dict[str, Any]) -> None:
    """What a person wants to know first."""
    for room in made["room"]:
        if room["requests_at_once"] is not None and room["requests_at_once"] < made["loads"][-1][0]:
            print(f"{room['model']}: {room['requests_at_once']} requests run at once; the others wait in the queue")
    for one in made["figures"]:
        if one["metric"].startswith(("ttft_p50", "tpot_p50", "requests_per_s", "roofline_share")) and one["value"]:
            print(one["candidate"], one["metric"], *one["labels"].values(), f"{one['value']:.4g} {one['unit']}")
    for line in made["memory"]:
        if line["error"] is not None:
            off = f"off by {line['error']:.1%} of what comes beside the weights ({line['beside_weights']})"
            print(line["model"], line["stage"], line["quantity"], line["measured"], "predicted", line["predicted"], off)
    for name, clock in made["clock"].items():
        print(name, "clock p99", clock.residual_p99_ns, "ns, target", clock.target_ns, clock.met)
    if (cost := made["trace_overhead"]) is not None:
        print(f"traced over untraced: {cost['e2e_ratio']:.4f} [{cost['low']:.4f}, {cost['high']:.4f}]")
    for line in made["failures"]:
        print(f"FAILED {line}")


def header_of(run_id: str, records: Sequence[CandidateRecord], drawn: Workload) -> RunHeader:
    return build_header(
        run_id=run_id, argv=sys.argv, seed=SEED, axes=("latency", "memory"), limit=None, quick=False,
        candidates=records, suite=(), definitions=dict(figures.DEFINITIONS), workloads=[drawn.record],
    )  # fmt: skip


async def conduct(size: Size, candidates: tuple[Candidate, ...], out: Path | None) -> dict[str, Any]:
    """The whole check. Raises UserError before anything is measured if a name or the folder cannot be used."""
    began = time.monotonic()
    run_id = new_run_id(["gpu-check", *(one.name for one in candidates)])
    path = out or Path("runs") / run_id
    check_new(path)
    checkpoints, drawn = find_checkpoints(candidates), open_workload(size.workload, seed=SEED)
    records = [
        CandidateRecord(one, found.architecture, found.sha256, None, failure="it was not reached")
        for one in candidates
        if (found := checkpoints[one.name]) is not None
    ]
    header = header_of(run_id, records, drawn)
    make(path)
    write_header(header, path)
    pool, folder = EnginePool(checkpoints, {}, None), RunFolder(path, header, RunState())
    check = Check(size, candidates, pool, drawn, folder, Steps(began + TOTAL_S), records)
    try:
        await check.measured()
    finally:
        folder.close()
        publish(path, folder.header, {}, Lines(), pictures=False)
        made = summary(check, time.monotonic() - began)
        write_whole(path / "check.json", msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="the embedded models' shapes in fp32, with random weights")
    parser.add_argument("--models", nargs="+", help="others than the three")
    parser.add_argument("--out", type=Path, help="the run's folder; without it a new one in runs/")
    parser.add_argument("--keep", type=Path, help=f"folder for the summary (on a GPU {RESULTS.parent.name}/results)")
    asked = parser.parse_args()
    size = SMALL if asked.small else FULL
    candidates = tuple(
        Candidate(
            name.removeprefix("zoo:").rpartition("/")[2], name, dtype=size.dtype, device=asked.device, weights="random",
            threads=1 if asked.device == "cpu" else None,
        )
        for name in asked.models or size.models
    )  # fmt: skip
    print(PLAN)
    faulthandler.dump_traceback_later(TOTAL_S + LAST_WORDS_S, exit=True)  # the rows are on the disk by then
    try:
        made = asyncio.run(conduct(size, candidates, asked.out))
    except FourwaysError as error:
        print(f"{error.message}{f' ({error.hint})' if error.hint else ''}", file=sys.stderr)
        return error.exit_code
    show(made)
    keep = asked.keep or (None if asked.small else RESULTS)
    if keep is not None:
        name = f"gpu_check-{made['date']}-{made['device']['kind']}.json"
        write_whole(keep / name, msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    return 1 if made["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
