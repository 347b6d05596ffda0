"""One worker: opens the candidate of its order, and answers chunks. The same in a process and in a Ray actor."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from fourways.axes.accuracy import WINDOW
from fourways.axes.sharing import Chunk
from fourways.axes.window import Window
from fourways.benchmarks import registry
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.suite import Entry, Suite
from fourways.compare.crew.protocol import Answered, Asked, Complaint, Described, Order, Reply
from fourways.compare.crew.watch import Watch
from fourways.compare.fingerprint import Fingerprint, fingerprint
from fourways.compare.opening import EnginePool, Failed, explain, find_checkpoints
from fourways.compare.suites import embedded_suite, record_suite
from fourways.core.errors import FourwaysError, UserError
from fourways.core.rows import AnswerRow
from fourways.core.run import CandidateRecord
from fourways.evidence.environment import environment
from fourways.evidence.source import source_state


def this_host() -> str:
    """Names the file system that a worker sees: the host, its start, and the mounts, which a container has of its own
    even where it shares the host's name."""
    boot, mounts = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/mnt")
    started = boot.read_text().strip() if boot.is_file() else ""
    seen = mounts.readlink() if mounts.is_symlink() else ""
    return f"{platform.node()} {started} {seen} {os.getuid() if hasattr(os, 'getuid') else ''}"


class Worker:
    """Answers chunks of its order, several at once, and says what it is. Opens its candidate when it is first asked."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._suite: Suite = {}
        self._read: dict[str, Mapping[str, Sample]] = {}
        self._lock = asyncio.Lock()
        self._engines: EnginePool | None = None
        self._ready: tuple[Window, Fingerprint] | None = None
        self._watch = Watch()

    async def answer(self, asked: Asked) -> Reply:
        """Never raises: what keeps it from answering at all is a complaint."""
        try:
            with self._watch.work():
                if asked.chunk is None:
                    return Described(asked.number, await self._described())
                return await self._answered(asked.number, asked.chunk)
        except Exception as error:
            told = explain(error)
            return Complaint(asked.number, told.message, told.hint)

    async def _answered(self, number: int, chunk: Chunk) -> Answered:
        async with self._lock:
            window, own = self._ready = self._ready or await self._open()
            samples = await self._samples(chunk.benchmark)
        if missing := [name for name in chunk.samples if name not in samples]:
            raise UserError(f"the data of {chunk.benchmark} on {platform.node()} has no sample {missing[0]!r}")
        benchmark = self._suite[chunk.benchmark].benchmark
        rows: list[AnswerRow] = []
        async for row in window.rows(benchmark, [samples[name] for name in chunk.samples]):
            rows.append(row)
            self._watch.step()
        return Answered(number, tuple(rows), own)

    async def _described(self) -> CandidateRecord:
        async with self._lock:
            return await (await self._pool()).record(self._order.candidate)

    async def _pool(self) -> EnginePool:
        if self._engines is None:
            self._engines = EnginePool(await asyncio.to_thread(find_checkpoints, (self._order.candidate,)), {})
        return self._engines

    async def _open(self) -> tuple[Window, Fingerprint]:
        self._suite = await asyncio.to_thread(self._find_suite)
        pool, candidate = await self._pool(), self._order.candidate
        record = await pool.record(candidate)
        (opened,) = await pool.only((candidate,))
        if isinstance(opened, Failed):
            raise FourwaysError(opened.error.message, hint=opened.error.hint)
        suite = (
            self._order.suite if self._order.host == this_host() else await asyncio.to_thread(record_suite, self._suite)
        )
        window = Window(opened, self._order.seed, WINDOW)
        return window, fingerprint(source_state(), environment(), record, suite)

    def _find_suite(self) -> Suite:
        """Where the run has it, or, of the embedded one, in this machine's own cache."""
        suite = {r.key: Entry(registry.get(r.key, r.columns), Path(r.path)) for r in self._order.suite}
        missing = [key for key, entry in suite.items() if not entry.path.exists()]
        here = embedded_suite() if missing else {}
        for key in missing:
            if key not in here:
                raise UserError(f"the data of {key} is not at {suite[key].path} on {platform.node()}")
            suite[key] = here[key]
        return suite

    async def _samples(self, key: str) -> Mapping[str, Sample]:
        """By their ids. Read once; they hold no pixels."""
        if key not in self._read:
            entry = self._suite[key]
            self._read[key] = await asyncio.to_thread(lambda: {sample.id: sample for sample in entry.read()})
        return self._read[key]
