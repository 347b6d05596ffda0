"""A crew for a candidate: how many workers, where each runs, and with how many threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fourways.axes.contract import CONCURRENCY, Opened
from fourways.compare.axes import ENGINES
from fourways.compare.crew.foreman import Foreman, Lost, Member
from fourways.compare.crew.process import Process
from fourways.compare.crew.protocol import Order
from fourways.compare.crew.ray_actor import check_ray, hire_actors
from fourways.compare.crew.worker import this_host
from fourways.compare.fingerprint import fingerprints
from fourways.compare.job import Job, Scale
from fourways.compare.opening import EnginePool, Failed
from fourways.compare.progress import Show
from fourways.core.candidate import Candidate
from fourways.core.errors import FourwaysError, UserError
from fourways.core.figure import Axis as AxisName
from fourways.core.run import BenchmarkRecord, CandidateRecord, CrewRecord, RunHeader
from fourways.engines.local.threads import cores
from fourways.evidence import redact


def record_of(scale: Scale) -> CrewRecord:
    """What the header says of who asks."""
    return CrewRecord(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        way="ray" if scale.ray is not None else "replicas" if (scale.replicas or 1) > 1 else "process",
        workers=scale.replicas or 1,
        address=scale.ray,
        concurrency=scale.concurrency,
    )


def scale_of(crews: Sequence[CrewRecord]) -> Scale:
    """The scale that a run was last gone on with."""
    if not crews:
        return Scale()
    last = crews[-1]
    return Scale(last.workers if last.way != "process" else None, last.address, last.concurrency or CONCURRENCY)


def check_scale(scale: Scale, candidates: Sequence[Candidate]) -> None:
    """What can be known to be wrong before anything is opened. Raises UserError."""
    if scale.ray is not None:
        check_ray()
        return
    for candidate in candidates:
        if (scale.replicas or 1) > 1 and candidate.url is None:
            _devices(candidate, scale.replicas or 1)


def only_crew(job: Job, candidate: Candidate) -> bool:
    """Whether nobody but its workers ever opens a candidate; then the machine that starts the run need not be able
    to."""
    return job.axes == ("accuracy",) and has_crew(job.scale, candidate)


def to_find(job: Job) -> tuple[Candidate, ...]:
    """The candidates whose files this machine must have; on devices of its own only where it uses them."""
    far = job.scale.ray is not None
    return tuple(
        msgspec.structs.replace(one, device="cpu") if far and only_crew(job, one) else one for one in job.candidates
    )


def who_asks(scale: Scale, candidate: Candidate) -> str | None:
    """In words; None where it is the run's own process, or a server with the usual number of requests in flight."""
    if candidate.url is not None:
        asked = scale.concurrency != CONCURRENCY
        return f"{candidate.name}: {scale.concurrency} requests in flight" if asked else None
    if scale.ray is not None:
        actors = f"{scale.replicas} actors" if scale.replicas else "an actor for each card or node"
        return f"{candidate.name}: {actors} of the Ray cluster at {redact(scale.ray)}"
    if (scale.replicas or 1) == 1:
        return None
    count = scale.replicas or 1
    devices, threads = _devices(candidate, count), candidate.threads or max(1, cores() // count)
    where = f"on {', '.join(devices)}" if candidate.device != "cpu" else "on the CPU"
    return f"{candidate.name}: {count} processes {where}, {threads} {'thread' if threads == 1 else 'threads'} each"


def copies(scale: Scale, candidate: Candidate) -> int:
    """Of a candidate's weights in the memory of one device."""
    shared = candidate.device == "cpu" and scale.ray is None and has_crew(scale, candidate)
    return (scale.replicas or 1) if shared else 1


def has_crew(scale: Scale, candidate: Candidate) -> bool:
    """A server by URL has its own replicas; its questions are asked by the run itself."""
    return candidate.url is None and (scale.ray is not None or (scale.replicas or 1) > 1)


class Crews:
    """Opens candidates for an axis: one engine each, or, on the accuracy axis, the workers that the job asks for.
    suite: what the workers read, with paths as they are. show: is told of workers that died. A context: no worker
    outlives it."""

    def __init__(self, job: Job, suite: Sequence[BenchmarkRecord], show: Show) -> None:
        self._job, self.suite, self._show = job, suite, show
        self._ready: dict[str, Sequence[Member]] = {}

    async def __aenter__(self) -> Crews:
        return self

    async def __aexit__(self, *_: object) -> None:
        for members in self._ready.values():
            await _end(members)

    async def record(self, candidate: Candidate, pool: EnginePool) -> CandidateRecord:
        """What the candidate is: as its workers open it if nobody else ever will, as the pool opens it else. The
        workers of a job's only candidate stay open for its questions; those of several may not fit beside each
        other."""
        if not only_crew(self._job, candidate):
            return await pool.record(candidate)
        members = self._ready[candidate.name] = await self._hired(candidate)
        alone = len(self._job.candidates) == 1
        try:
            record, *_ = await asyncio.gather(*(member.describe() for member in members[: None if alone else 1]))
        except (Lost, FourwaysError) as error:
            why = f"a worker that was to open it died: {error}" if isinstance(error, Lost) else error.message
            return CandidateRecord(candidate, None, {}, None, failure=why)
        finally:
            if not alone:
                await _end(self._ready.pop(candidate.name))
        return msgspec.structs.replace(record, candidate=candidate)

    @asynccontextmanager
    async def opened(
        self, axis: AxisName, header: RunHeader, records: Sequence[CandidateRecord], pool: EnginePool
    ) -> AsyncIterator[list[Opened | Failed]]:
        """The candidates of the records, open while the context lasts."""
        if axis == "accuracy" and len(records) == 1 and has_crew(self._job.scale, records[0].candidate):
            (one,) = await pool.none(records)
            if isinstance(one, Failed):
                yield [one]
                return
            expected = fingerprints(header)[one.candidate.name]
            async with self._members(one.candidate) as members:
                foreman = Foreman(members, expected)
                try:
                    yield [replace(one, crew=foreman)]
                finally:
                    if foreman.deaths:
                        self._show.phase(f"{one.candidate.name}: {_deaths(foreman)}")
        elif ENGINES[axis] == "none":
            yield await pool.none(records)
        else:
            yield await pool.only([record.candidate for record in records])

    @asynccontextmanager
    async def _members(self, candidate: Candidate) -> AsyncIterator[Sequence[Member]]:
        """The workers of a candidate that `has_crew`. They end with the context."""
        members = self._ready.pop(candidate.name, None) or await self._hired(candidate)
        try:
            yield members
        finally:
            await _end(members)

    async def _hired(self, candidate: Candidate) -> Sequence[Member]:
        job, asked = self._job, _absolute(candidate)
        if job.scale.ray is not None:
            return await hire_actors(job.scale, asked, self.suite, job.seed)
        return _processes(job.scale.replicas or 1, asked, self.suite, job.seed)


def _deaths(foreman: Foreman) -> str:
    if foreman.deaths == 1:
        return f"a worker died, and what was in its hands was asked again: {foreman.last_death}"
    count = f"workers died {foreman.deaths:,} times"
    return f"{count}, and what was in their hands was asked again; of the last: {foreman.last_death}"


async def _end(members: Sequence[Member]) -> None:
    await asyncio.gather(*(member.close() for member in members))


def _processes(count: int, candidate: Candidate, suite: Sequence[BenchmarkRecord], seed: int) -> list[Member]:
    threads = candidate.threads or max(1, cores() // count)
    host = this_host()
    return [
        Process(
            f"replica {number} ({device})",
            Order(msgspec.structs.replace(candidate, device=device, threads=threads), tuple(suite), seed, host),
        )
        for number, device in enumerate(_devices(candidate, count), start=1)
    ]


def _devices(candidate: Candidate, count: int) -> list[str]:
    """One for each worker: the CPU for all, or a card for each."""
    if candidate.device == "cpu":
        return ["cpu"] * count
    if candidate.device != "cuda":
        raise UserError(
            f"{candidate.name} names one card ({candidate.device}), and {count} replicas need {count}",
            hint="give --device cuda, and choose the cards with CUDA_VISIBLE_DEVICES",
        )
    import torch

    if (there := torch.cuda.device_count()) < count:
        raise UserError(f"{count} replicas need {count} CUDA devices, and {there} are visible", hint="fewer --replicas")
    return [f"cuda:{number}" for number in range(count)]


def _absolute(candidate: Candidate) -> Candidate:
    """A worker may stand in another folder."""
    folders = {
        name: str(Path(value).expanduser().resolve())
        for name in ("model", "adapter")
        if (value := getattr(candidate, name)) is not None and Path(value).expanduser().is_dir()
    }
    return msgspec.structs.replace(candidate, **folders)
