"""A fresh start of a local candidate: its engine is opened in a process of its own, which sends all loads and ends.

Opening a model anew in the same process would keep that process's allocator, its threads and its place in memory, which
are what differs from one start to the next. The process is told what to do on its standard input, and tells each row
on a line of its standard output as it is made, so that rows survive it. `python -m fourways.compare.loading.fresh`
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import ceil
from pathlib import Path

import msgspec

from fourways.compare.loading.job import REQUESTS, LoadJob
from fourways.compare.loading.sending import Supply, with_adapters
from fourways.compare.loading.sweeping import AXIS, Round, swept
from fourways.compare.loading.telling import Telling
from fourways.compare.opening import EnginePool, Failed, status_of
from fourways.compare.progress import Show, Silent
from fourways.compare.workloads import open_workload
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.load import Load
from fourways.core.rows import FailureRow, RequestRow, Row

_COMMAND = (sys.executable, "-m", "fourways.compare.loading.fresh")
_row = msgspec.json.Decoder(Row)


class Task(msgspec.Struct, frozen=True):
    """One start. skip: items of the workload that earlier starts were sent."""

    candidate: Candidate
    checkpoint: Checkpoint
    threads: int | None
    workload: str
    workload_seed: int
    loads: tuple[Load, ...]
    requests: int | None
    duration_s: float | None
    warm_up: int
    blocks: int
    seed: int
    restart: int
    skip: int


async def started(task: Task, show: Show) -> AsyncGenerator[Row, None]:
    """The rows of one start, as they are made; last a FailureRow if the process broke."""
    name = task.candidate.name
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        limit=1 << 26, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    told = Telling(show, f"{name} · start {task.restart + 1}")
    told.block(task.blocks * len(task.loads) * ceil((task.requests or REQUESTS) / task.blocks), 1)
    try:
        process.stdin.write(msgspec.json.encode(task, enc_hook=str))
        process.stdin.write_eof()
        async for line in process.stdout:
            row = _row.decode(line)
            if isinstance(row, RequestRow):
                told.row(row)
            yield row
        if (code := await process.wait()) != 0:
            last = (await errors).decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            yield FailureRow(name, AXIS, "axis", f"start {task.restart}", f"the process ended with {code}: {last[0]}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        errors.cancel()


async def _rows(task: Task) -> AsyncGenerator[Row, None]:
    """What the process does."""
    name = task.candidate.name
    threads = {} if task.threads is None else {name: task.threads}
    pool = EnginePool({name: task.checkpoint}, threads, None)
    job = LoadJob(
        (task.candidate,), task.workload, task.loads, task.requests, task.duration_s, task.warm_up, task.blocks,
        seed=task.seed,
    )  # fmt: skip
    try:
        (opened,) = await pool.only([task.candidate])
        if isinstance(opened, Failed):
            where, error = f"start {task.restart}", opened.error
            yield FailureRow(name, AXIS, "candidate", where, error.message, error.hint, status=status_of(error))
            return
        drawn = open_workload(task.workload, seed=task.workload_seed)
        if (lost := await with_adapters(opened, drawn)) is not None:
            yield lost
            return
        supply = Supply(drawn)
        supply.take(task.skip)
        at = Round(task.restart, task.restart * task.blocks)
        async with aclosing(swept([opened], drawn, supply, job, at, Silent())) as rows:
            async for row in rows:
                yield row
    finally:
        await pool.close()


def _decoded(said: bytes) -> Task:
    """Folders are written as text."""
    return msgspec.json.decode(said, type=Task, dec_hook=lambda kind, text: Path(text))


async def _tell(task: Task) -> None:
    async with aclosing(_rows(task)) as rows:
        async for row in rows:
            sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_tell(_decoded(sys.stdin.buffer.read())))
