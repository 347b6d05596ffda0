"""Starts a run, goes on with one, adds a candidate to one; writes its figures and its page at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fourways import figures
from fourways.axes import latency
from fourways.axes.contract import Axis, Opened, Settings
from fourways.axes.kernels import device_clock
from fourways.compare.axes import AXES, ENGINES
from fourways.compare.crew import Crews, check_scale, connected, record_of, scale_of, to_find
from fourways.compare.folder import RunFolder, check_new, clear_unfinished, make, reopen
from fourways.compare.job import Job, settings_of
from fourways.compare.losses import losses, try_again
from fourways.compare.opening import Checkpoints, EnginePool, Failed, explain, find_checkpoints, status_of, threads_of
from fourways.compare.outcome import Interrupted, Outcome
from fourways.compare.planned import plan_record
from fourways.compare.progress import Show
from fourways.compare.publishing import publish, shows_pictures, suite_named_by
from fourways.compare.same_run import gone_on
from fourways.compare.sharding import check_shard, shard_record, with_asked
from fourways.compare.suites import check_suite, record_suite
from fourways.compare.tracing import traced
from fourways.core.candidate import Candidate
from fourways.core.errors import FourwaysError, UserError
from fourways.core.figure import AXES as AXIS_NAMES
from fourways.core.figure import Axis as AxisName
from fourways.core.rows import FailureRow, TermsRow
from fourways.core.run import BenchmarkRecord, CandidateRecord, ClockRecord, RunHeader, RunState, ThreadChoice
from fourways.core.run_files import ROWS_FILE, read_header, read_rows, read_state
from fourways.evidence import RowsNotWritten, axis_of, build_header, check_free, new_run_id, write_header
from fourways.evidence.redact import MASK
from fourways.trace import Recording


def start(job: Job, show: Show, like: RunHeader | None = None) -> Outcome:
    """A new run. like: an older one, whose numbers of threads are used again in place of a trial's.

    Raises UserError before anything is measured if a name, a file or a folder cannot be used; Interrupted on Ctrl-C."""
    shard = () if job.shard is None else (f"shard-{job.shard.index}-of-{job.shard.of}",)
    run_id = new_run_id([*(candidate.name for candidate in job.candidates), *shard])
    folder = job.out or Path("runs") / run_id
    check_new(folder, f", or go on with it: --resume {folder}")
    check_shard(job)
    check_scale(job.scale, job.candidates)
    if "accuracy" in job.axes:
        check_suite(job.suite)
    checkpoints = find_checkpoints(to_find(job))
    with connected(job.scale) as scale:
        return _conducted(_start(run_id, replace(job, scale=scale), checkpoints, folder, show, like), folder)


def resume(folder: Path, job: Job | None, show: Show) -> Outcome:
    """Goes on with a run: what is finished stays, answers are gone on from, the rest starts from its beginning.

    job: what is asked for now, None for what the header says. Raises UserError naming every difference if the header
    would be another one.
    """
    old = read_header(folder)
    return _go_on(old, job or job_of(old), folder, show)


def add(folder: Path, candidates: Sequence[Candidate], argv: Sequence[str], show: Show) -> Outcome:
    """Measures more candidates into a run that is there, without running the others again."""
    old = read_header(folder)
    known = {record.candidate.name for record in old.candidates}
    if twice := [candidate.name for candidate in candidates if candidate.name in known]:
        raise UserError(f"the run already has a candidate {twice[0]!r}", hint=f"give it a name: {twice[0]}-2=MODEL")
    before = job_of(old)
    job = replace(before, candidates=(*before.candidates, *candidates), argv=tuple(argv))
    return _go_on(old, job, folder, show)


def _go_on(old: RunHeader, job: Job, folder: Path, show: Show) -> Outcome:
    if isinstance(next(read_rows(folder / ROWS_FILE), None), TermsRow):
        raise UserError(
            f"{folder} is a run of `fourways load`: times from two different hours are not one measurement",
            hint="start it again",
        )
    if old.parts:
        raise UserError(f"{folder} was merged from shards and is finished", hint="go on with a shard, and merge again")
    check_free(folder)
    check_scale(job.scale, job.candidates)
    checkpoints = find_checkpoints(to_find(job))
    with connected(job.scale) as scale:
        return _conducted(_resume(old, replace(job, scale=scale), checkpoints, folder, show), folder)


def job_of(header: RunHeader) -> Job:
    """What the header says was asked for. Raises UserError where it was redacted away."""
    candidates = tuple(record.candidate for record in header.candidates)
    if hidden := [c.name for c in candidates if MASK in (c.url or "")]:
        raise UserError(
            f"the credentials in the URL of {hidden[0]!r} are not kept in a run",
            hint=f"name the candidates again: fourways compare {hidden[0]}=URL … --resume DIR",
        )
    axes = tuple(name for name in AXIS_NAMES if name in header.axes)
    suite, shown = suite_named_by(header), shows_pictures(header)
    return Job(
        candidates,
        axes,
        suite,
        header.seed,
        header.limit,
        header.quick,
        argv=header.argv,
        show_images=shown,
        shard=header.shard.shard if header.shard is not None else None,
        scale=scale_of(header.crews),
    )


def _conducted(work: Coroutine[None, None, Outcome], folder: Path) -> Outcome:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        if not (folder / ROWS_FILE).exists():
            raise Interrupted("stopped before anything was measured") from None
        raise Interrupted(f"stopped; go on with: fourways compare --resume {folder}") from None


async def _start(
    run_id: str, job: Job, checkpoints: Checkpoints, folder: Path, show: Show, like: RunHeader | None
) -> Outcome:
    show.phase(_opening(job.candidates))
    async with _pool(checkpoints, job, like) as pool, Crews(job, _suite_records(job), show) as crews:
        records = await _records(pool, crews, job.candidates)
        header = _header(run_id, job, records, crews.suite, pool.choice)
        make(folder)
        write_header(header, folder)
        await _measure(folder, header, RunState(), job, crews, pool, show)
    return _publish(folder, header, job, show)


async def _resume(old: RunHeader, job: Job, checkpoints: Checkpoints, folder: Path, show: Show) -> Outcome:
    show.phase(_opening(job.candidates))
    async with _pool(checkpoints, job, old) as pool, Crews(job, _suite_records(job), show) as crews:
        records = await _records(pool, crews, job.candidates)
        header = gone_on(old, _header(old.run_id, job, records, crews.suite, pool.choice))
        state = reopen(folder, read_state(folder))
        clear_unfinished(folder, state)
        write_header(header, folder)
        await _measure(folder, header, state, job, crews, pool, show)
    return _publish(folder, header, job, show)


def _opening(candidates: Sequence[Candidate]) -> str:
    return f"opening {len(candidates)} {'candidate' if len(candidates) == 1 else 'candidates'}"


def _suite_records(job: Job) -> Sequence[BenchmarkRecord]:
    """With the paths as they are; the header redacts them."""
    return with_asked(record_suite(job.suite), settings_of(job, Path())) if "accuracy" in job.axes else ()


def _header(
    run_id: str,
    job: Job,
    records: Sequence[CandidateRecord],
    suite: Sequence[BenchmarkRecord],
    choice: ThreadChoice | None,
) -> RunHeader:
    return build_header(
        run_id=run_id,
        argv=job.argv,
        seed=job.seed,
        axes=job.axes,
        limit=job.limit,
        quick=job.quick,
        candidates=records,
        suite=suite,
        definitions=dict(figures.DEFINITIONS),
        shard=shard_record(job),
        crews=[record_of(job.scale)] if "accuracy" in job.axes else (),
        workloads=[latency.workload(job.seed).record] if "latency" in job.axes else (),
        thread_choice=choice,
        plan=plan_record(job),
    )


async def _records(pool: EnginePool, crews: Crews, candidates: Sequence[Candidate]) -> list[CandidateRecord]:
    """In the candidates' order, whatever the order in which they were opened."""
    made = {candidate.name: await crews.record(candidate, pool) for candidate in pool.in_turn(candidates)}
    return [made[candidate.name] for candidate in candidates]


@asynccontextmanager
async def _pool(checkpoints: Checkpoints, job: Job, old: RunHeader | None = None) -> AsyncIterator[EnginePool]:
    before = {record.candidate.name: threads_of(record.engine) for record in old.candidates} if old else {}
    threads = {name: count for name, count in before.items() if count is not None}
    pool = EnginePool(checkpoints, threads, job.scale.concurrency, old.thread_choice if old else None)
    try:
        yield pool
    finally:
        await pool.close()


async def _measure(
    path: Path,
    header: RunHeader,
    state: RunState,
    job: Job,
    crews: Crews,
    pool: EnginePool,
    show: Show,
) -> None:
    folder = RunFolder(path, header, state)
    settings = settings_of(job, path, show.step)
    try:
        for name in job.axes:
            left = [r for r in header.candidates if not folder.finished(name, r.candidate.name)]
            if left:
                show.phase(f"{name}: {', '.join(record.candidate.name for record in left)}")
            groups = [[record] for record in left] if ENGINES[name] == "one" else [left] if left else []
            for group in groups:
                await _measure_group(AXES[name], group, settings, folder, pool, crews, show)
    finally:
        show.close()
        folder.close()


async def _measure_group(
    axis: Axis,
    records: Sequence[CandidateRecord],
    settings: Settings,
    folder: RunFolder,
    pool: EnginePool,
    crews: Crews,
    show: Show,
) -> None:
    """One axis of candidates that are measured together. What fails is a row, and is not finished; what cannot be asked
    at all is a row, and is."""
    async with crews.opened(axis.name, folder.header, records, pool) as results:
        lost: set[str] = set()
        for result in results:
            if isinstance(result, Failed):
                folder.append(_failure(result.candidate.name, axis.name, "candidate", result.error))
                lost |= {result.candidate.name} if result.status == "failed" else set()
        opened = [result for result in results if isinstance(result, Opened)]
        with _traced(axis, opened, settings, folder, show) as recording:
            lost |= await _take_rows(axis, opened, settings, folder)
            if recording is not None:
                recording.clock = await _device_clock(opened, settings, show)
    for name in sorted({record.candidate.name for record in records} - lost):
        folder.finish(axis.name, name)


def _traced(
    axis: Axis, opened: Sequence[Opened], settings: Settings, folder: RunFolder, show: Show
) -> AbstractContextManager[Recording | None]:
    """Times of single requests are taken on one axis only."""
    if axis.name != "latency" or not opened:
        return nullcontext()
    requests, _ = axis.estimate([one.candidate for one in opened], settings)
    return traced(folder, axis.name, requests, show.phase)


async def _device_clock(opened: Sequence[Opened], settings: Settings, show: Show) -> ClockRecord | None:
    """A clock that cannot be judged costs no row."""
    try:
        return await device_clock(opened, settings)
    except Exception as error:
        show.phase(f"the device's clock could not be judged: {explain(error).message}")
        return None


async def _take_rows(axis: Axis, opened: Sequence[Opened], settings: Settings, folder: RunFolder) -> set[str]:
    """Writes the rows of an axis, and says of which candidates something broke that a resume would try again."""
    names = {one.candidate.name for one in opened}
    lost: set[str] = set()
    if not opened:
        return lost
    done = folder.rows(lambda row: axis_of(row) == axis.name and row.candidate in names)
    try:
        async with aclosing(axis.rows(opened, settings, done)) as rows:  # type: ignore[type-var]  # rows is a generator
            async for row in rows:
                folder.append(row)
                if isinstance(row, FailureRow) and try_again(row):
                    lost.add(row.candidate)
    except RowsNotWritten:
        raise
    except Exception as error:
        for name in sorted(names):
            folder.append(_failure(name, axis.name, "axis", explain(error)))
        return names
    return lost


def _failure(candidate: str, axis: AxisName, scope: Literal["candidate", "axis"], error: FourwaysError) -> FailureRow:
    return FailureRow(candidate, axis, scope, "", error.message, error.hint, status=status_of(error))


def _publish(path: Path, header: RunHeader, job: Job, show: Show) -> Outcome:
    """Figures from the rows, the page from both, and what was lost."""
    summary, page = publish(path, header, job.suite, show, pictures=job.show_images)
    failures, partly = losses(read_rows(path / ROWS_FILE))
    return Outcome(path, page, summary, failures, partly, any(try_again(row) for row in read_rows(path / ROWS_FILE)))
