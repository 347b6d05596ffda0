"""`python -m fourways.axes.memory_probe`: measures one candidate's memory once, in a process of its own.

Reads a ProbeTask as JSON from standard input. Writes a row as a JSON line for each reading, for what cannot be known,
and for the timeline; nothing else comes out of standard output. What goes wrong is the last line of standard error, as
JSON {"message", "hint"}, with exit code 1 or 2 (core/errors.py); a process that the system kills says nothing, and its
caller sees the signal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec
import torch

from fourways.axes.memory_gauges import Gauges, Reading
from fourways.axes.memory_stages import ProbeRequest, plan, run_request
from fourways.axes.memory_training import probe_recipe, train_step
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.errors import CapabilityError, FourwaysError, OutOfMemory
from fourways.core.rows import FailureRow, MemoryQuantity, MemoryRow, MemoryStage, MemoryTimelineRow, Row
from fourways.engines.local.adapters import Adapters
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.trace.resident import PeakResident
from fourways.trace.timeline import Timeline

LAST_READING: tuple[MemoryStage, MemoryQuantity] = ("kv_per_token", "exact")
"""Stage and quantity that a whole request ends with; what comes after it is the training step, which may break."""


class ProbeTask(msgspec.Struct, frozen=True):
    """What to measure. image_size: (width, height) in pixels. batch: equal requests at once. new_tokens: each."""

    candidate: Candidate
    checkpoint: Checkpoint
    repeat: int
    threads: int
    image_size: tuple[int, int]
    batch: int
    new_tokens: int


def encode_task(task: ProbeTask) -> bytes:
    return msgspec.json.encode(task, enc_hook=os.fspath)  # a checkpoint's folder is a Path


def decode_task(data: bytes) -> ProbeTask:
    return msgspec.json.decode(data, type=ProbeTask, dec_hook=lambda _, folder: Path(folder))


class LastWords(msgspec.Struct, frozen=True):
    """The last line of standard error of a probe that failed."""

    message: str
    hint: str | None


def probe(task: ProbeTask, write: Callable[[Row], None]) -> None:
    """Load, run one batch of equal requests, then one training step, and hand each reading to `write` as soon as it is
    known. A training step that cannot be made costs its own readings only."""
    family_class = find_family(task.checkpoint.architecture)
    candidate = task.candidate
    torch.set_num_threads(task.threads)
    timeline = Timeline() if task.repeat == 0 else None
    with PeakResident() as resident:
        gauges = Gauges(torch.device(candidate.device), resident, timeline)
        family = family_class.load(
            task.checkpoint, dtype=candidate.dtype, device=candidate.device, quantization=candidate.quantization
        )
        if candidate.adapter is not None:
            adapters = Adapters(family)
            adapters.attach(adapters.load(candidate.adapter, Path(candidate.adapter)))
        loaded = gauges.loaded(family)
        request = plan(family, task.image_size, candidate.visual_budget, task.new_tokens)
        for reading in chain(loaded, run_request(family, request, task.batch, gauges)):
            write(_row(task, reading, request.context))
        for quantity, why in gauges.unknown.items():
            write(_unknown(task, quantity, why))
        write(_row(task, (*LAST_READING, family.spec.kv_bytes_per_token), request.context))
        _train(task, family, request, gauges, write)
    if timeline is not None:
        write(MemoryTimelineRow(candidate.name, task.repeat, gauges.drawn, timeline.points(), timeline.stages()))


def _train(
    task: ProbeTask, family: Family, request: ProbeRequest, gauges: Gauges, write: Callable[[Row], None]
) -> None:
    if task.candidate.adapter is not None:
        write(_unknown(task, "train_step", "the candidate carries an adapter already; a fine-tune starts from a base"))
        return
    try:
        for reading in train_step(family, request, probe_recipe(task.batch), task.candidate.visual_budget, gauges):
            write(_row(task, reading, request.context))
    except Exception as error:
        known = _known(error)
        status: Literal["failed", "undefined"] = "undefined" if isinstance(known, CapabilityError) else "failed"
        write(_unknown(task, "train_step", known.message, known.hint, status))


def _row(task: ProbeTask, reading: Reading, context: int) -> MemoryRow:
    stage, quantity, size = reading
    return MemoryRow(
        candidate=task.candidate.name,
        repeat=task.repeat,
        stage=stage,
        quantity=quantity,
        bytes=size,
        image_size=task.image_size,
        batch=task.batch,
        context=context,
    )


def _unknown(
    task: ProbeTask, what: str, why: str, hint: str | None = None, status: Literal["failed", "undefined"] = "undefined"
) -> FailureRow:
    """One reading that is not there, and why; the others stand."""
    return FailureRow(task.candidate.name, "memory", "sample", what, why, hint, status)


def main() -> int:
    rows = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not spoil the rows
    task = decode_task(sys.stdin.buffer.read())

    def write(row: Row) -> None:
        rows.write(msgspec.json.encode(row) + b"\n")
        rows.flush()

    try:
        probe(task, write)
    except Exception as error:
        known = _known(error)
        last = LastWords(known.message, known.hint)
        sys.stderr.write("\n" + msgspec.json.encode(last).decode() + "\n")
        return known.exit_code
    return 0


def _known(error: Exception) -> FourwaysError:
    if isinstance(error, FourwaysError):
        return error
    first_line = (str(error).strip().splitlines() or ["no message"])[0]
    no_room = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
    if no_room:
        return OutOfMemory(
            f"out of memory: {first_line}", hint="use a smaller image, batch or dtype, or another device"
        )
    return FourwaysError(f"{type(error).__name__}: {first_line}")


if __name__ == "__main__":
    sys.exit(main())
