"""Memory: what one request and one training step need, stage by stage, measured in fresh processes and never while
anything is timed.

Every repeat of every candidate loads the model in a process of its own (`memory_probe`), so that no reading holds what
an earlier one left behind. A probe that breaks or is killed costs its own candidate only, and its last words are kept;
one that breaks in its training step costs that step only. A server is asked what it reserved (`memory_server`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import ClassVar

import msgspec

from fourways.axes.contract import Opened, Settings
from fourways.axes.memory_probe import LAST_READING, LastWords, ProbeTask, encode_task
from fourways.axes.memory_server import server_rows
from fourways.axes.prediction import predicted_rows
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.errors import FourwaysError
from fourways.core.figure import Axis as AxisName
from fourways.core.rows import FailureRow, MemoryPredictedRow, MemoryRow, MemoryTimelineRow, Row

IMAGE_SIZE = (640, 480)
"""Width and height in pixels: the same picture for every candidate, however many visual tokens each makes of it."""
BATCH = 1
NEW_TOKENS = 32
REPEATS, REPEATS_QUICK = 5, 3
PROBE_COMMAND = (sys.executable, "-m", "fourways.axes.memory_probe")
PROBE_LIMIT_S = 1800
_SECONDS_A_PROBE = 8.0
_LAST_PREDICTED = ("predicted kv_per_token", "exact")
_row = msgspec.json.Decoder(Row)


class Memory:
    """The memory axis. Goes on after an interruption: repeats that are whole in `done` are not measured again."""

    name: ClassVar[AxisName] = "memory"

    def __init__(self, repeats: int | None = None) -> None:
        """repeats: of each candidate; None: as a run has them."""
        self._repeats = repeats

    def estimate(self, candidates: Sequence[Candidate], settings: Settings) -> tuple[int, float]:
        """Probes to run, and seconds for models as small as the embedded ones."""
        probes = self._count(settings) * sum(candidate.url is None for candidate in candidates)
        return probes, probes * _SECONDS_A_PROBE / 2

    async def rows(self, opened: Sequence[Opened], settings: Settings, done: Sequence[Row]) -> AsyncIterator[Row]:
        """MemoryRows of each repeat as it ends, and the timeline of the first; a FailureRow for a candidate that has no
        access, or breaks, and for each reading that nobody can say here."""
        known = {_key(row) for row in done}
        lost = {row.candidate for row in done if isinstance(row, FailureRow) and row.scope == "axis"}
        for one in opened:
            if one.checkpoint is None and one.candidate.name not in lost:
                for row in await server_rows(one.candidate):
                    if _key(row) not in known:
                        yield row
            elif one.checkpoint is not None and (one.candidate.name, -1, *_LAST_PREDICTED) not in known:
                for predicted in await _predicted(one.candidate, one.checkpoint):
                    if _key(predicted) not in known:
                        yield predicted
        tasks = [task for task in _tasks(opened, self._count(settings)) if task.candidate.name not in lost]
        left = [task for task in tasks if (task.candidate.name, task.repeat, *LAST_READING) not in known]
        settings.progress(len(tasks) - len(left), len(tasks), "memory")
        width = 1 if any(task.candidate.device != "cpu" for task in left) else max(1, min(2, os.cpu_count() or 1))
        async with aclosing(_in_order(left, width)) as results:
            finished = len(tasks) - len(left)
            async for task, rows, failure in results:
                finished += 1
                settings.progress(finished, len(tasks), f"{task.candidate.name} · memory")
                if task.candidate.name in lost:
                    continue
                for row in rows:
                    if _key(row) not in known:
                        known.add(_key(row))
                        yield row
                if failure is not None:
                    lost.add(task.candidate.name)
                    yield failure

    def _count(self, settings: Settings) -> int:
        if self._repeats is not None:
            return self._repeats
        return REPEATS_QUICK if settings.quick else REPEATS


async def _predicted(candidate: Candidate, checkpoint: Checkpoint) -> Sequence[Row]:
    """What the probe will read, said from the config alone; or why it cannot be said."""
    try:
        return await asyncio.to_thread(predicted_rows, checkpoint, candidate, IMAGE_SIZE, BATCH, NEW_TOKENS)
    except Exception as error:  # a prediction that fails costs no measurement
        known = error if isinstance(error, FourwaysError) else FourwaysError(f"{type(error).__name__}: {error}")
        return [FailureRow(candidate.name, Memory.name, "sample", "predicted", known.message, known.hint)]


Key = tuple[str, int, str, str]
"""Candidate, repeat, stage and quantity. What cannot be known has the repeat -1: it is said once."""


def _key(row: Row) -> Key:
    match row:
        case MemoryRow():
            return row.candidate, row.repeat, row.stage, row.quantity
        case MemoryTimelineRow():
            return row.candidate, row.repeat, "timeline", row.quantity
        case MemoryPredictedRow():
            return row.candidate, -1, f"predicted {row.stage}", row.quantity
        case FailureRow():
            return row.candidate, -1, row.scope, row.where
        case _:
            return "", -1, "", ""


def _tasks(opened: Sequence[Opened], repeats: int) -> list[ProbeTask]:
    """All candidates' first repeats, then their second, …"""
    return [
        ProbeTask(
            candidate=one.candidate,
            checkpoint=one.checkpoint,
            repeat=repeat,
            threads=int(one.engine.info.settings.get("threads", "1")),
            image_size=IMAGE_SIZE,
            batch=BATCH,
            new_tokens=NEW_TOKENS,
        )
        for repeat in range(repeats)
        for one in opened
        if one.checkpoint is not None
    ]


async def _in_order(
    tasks: Sequence[ProbeTask], width: int
) -> AsyncGenerator[tuple[ProbeTask, list[Row], FailureRow | None], None]:
    """Results in the order of the tasks, `width` probes at a time. A candidate that broke is not probed again."""
    slots = asyncio.Semaphore(width)
    broken: set[str] = set()

    async def run(task: ProbeTask) -> tuple[list[Row], FailureRow | None]:
        async with slots:
            if task.candidate.name in broken:
                return [], None
            rows, failure = await _probe(task)
            if failure is not None:
                broken.add(task.candidate.name)
            return rows, failure

    running = [asyncio.create_task(run(task)) for task in tasks]
    try:
        for task, result in zip(tasks, running, strict=True):
            yield task, *(await result)
    finally:
        for result in running:
            result.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _probe(task: ProbeTask) -> tuple[list[Row], FailureRow | None]:
    """One fresh process: its rows, and why it ended early if it did. Readings made before the end are kept."""
    process = await asyncio.create_subprocess_exec(
        *PROBE_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    speaking = asyncio.ensure_future(process.communicate(encode_task(task)))
    try:
        late = not (await asyncio.wait([speaking], timeout=PROBE_LIMIT_S))[0]
    finally:
        if process.returncode is None and not speaking.done():
            process.kill()
        out, err = await speaking
    rows = _last_reading_last(_told(out))
    if process.returncode == 0:
        return rows, None
    stopped = _failure(task, f"the probe was stopped after {PROBE_LIMIT_S} s")
    failure = stopped if late else _said(task, process.returncode or 0, err)
    if any(isinstance(row, MemoryRow) and (row.stage, row.quantity) == LAST_READING for row in rows):
        step = msgspec.structs.replace(failure, scope="sample", where="train_step")
        return [*rows[:-1], step, rows[-1]], None
    return rows, failure


def _told(out: bytes) -> list[Row]:
    """The rows that were written whole: a process that is killed leaves half a line."""
    return [_row.decode(line) for line in out.splitlines(keepends=True) if line.endswith(b"\n")]


def _last_reading_last(rows: list[Row]) -> list[Row]:
    """Whoever goes on after an interruption takes it for the end of a repeat."""
    return sorted(rows, key=lambda row: isinstance(row, MemoryRow) and (row.stage, row.quantity) == LAST_READING)


def _said(task: ProbeTask, code: int, err: bytes) -> FailureRow:
    """Why a probe ended with `code`, from its last line."""
    lines = err.decode(errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if code < 0:
        name = signal.Signals(-code).name
        hint = "the system had no memory left, most likely" if -code == signal.SIGKILL else None
        return _failure(task, f"the probe was killed ({name}){': ' + last if last else ''}", hint)
    try:
        words = msgspec.json.decode(last, type=LastWords)
    except msgspec.DecodeError:
        return _failure(task, f"the probe ended with code {code}: {last or 'it said nothing'}")
    return _failure(task, words.message, words.hint)


def _failure(task: ProbeTask, message: str, hint: str | None = None) -> FailureRow:
    return FailureRow(task.candidate.name, Memory.name, "axis", f"repeat {task.repeat}", message, hint)
