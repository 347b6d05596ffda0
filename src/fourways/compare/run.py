"""Starts a run, goes on with one, adds a candidate to one; writes its figures and its page at the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from fourways import figures
from fourways.axes.contract import Axis, Opened, Settings
from fourways.compare.axes import AXES, ENGINES
from fourways.compare.folder import RunFolder, clear_unfinished, read_state
from fourways.compare.job import Job
from fourways.compare.losses import losses, lost_axis
from fourways.compare.opening import Checkpoints, EnginePool, Failed, explain, find_checkpoints, threads_of
from fourways.compare.progress import Show
from fourways.compare.publishing import publish, shows_pictures, suite_named_by
from fourways.compare.suites import check_suite, record_suite
from fourways.core.candidate import Candidate
from fourways.core.errors import FourwaysError, UserError
from fourways.core.figure import AXES as AXIS_NAMES
from fourways.core.figure import Axis as AxisName
from fourways.core.figure import Summary
from fourways.core.rows import FailureRow
from fourways.core.run import CandidateRecord, RunHeader, RunState
from fourways.core.run_files import ROWS_FILE, read_header, read_rows
from fourways.evidence import RowsNotWritten, axis_of, build_header, changes, new_run_id, write_header
from fourways.evidence.redact import MASK

_ELSEWHERE = "name another --out"


class Interrupted(FourwaysError):
    """Ctrl-C: the rows so far are kept."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run. failures: whole axes and benchmarks of a candidate that were tried and broke. try_again: whether
    a resume would try any of them again."""

    folder: Path
    report: Path
    summary: Summary
    failures: tuple[FailureRow, ...]
    try_again: bool


def start(job: Job, show: Show) -> Outcome:
    """A new run. Raises UserError before anything is measured if a name, a file or a folder cannot be used; Interrupted
    on Ctrl-C."""
    run_id = new_run_id([candidate.name for candidate in job.candidates])
    folder = job.out or Path("runs") / run_id
    _check_new(folder)
    if "accuracy" in job.axes:
        check_suite(job.suite)
    checkpoints = find_checkpoints(job.candidates)
    return _conducted(_start(run_id, job, checkpoints, folder, show), folder)


def resume(folder: Path, job: Job | None, show: Show) -> Outcome:
    """Goes on with a run: what is finished stays, answers are gone on from, the rest starts from its beginning.

    job: what is asked for now, None for what the header says. Raises UserError naming every difference if the header
    would be another one.
    """
    old = read_header(folder)
    job = job or job_of(old)
    checkpoints = find_checkpoints(job.candidates)
    return _conducted(_resume(old, job, checkpoints, folder, show), folder)


def add(folder: Path, candidates: Sequence[Candidate], argv: Sequence[str], show: Show) -> Outcome:
    """Measures more candidates into a run that is there, without running the others again."""
    old = read_header(folder)
    known = {record.candidate.name for record in old.candidates}
    if twice := [candidate.name for candidate in candidates if candidate.name in known]:
        raise UserError(f"the run already has a candidate {twice[0]!r}", hint=f"give it a name: {twice[0]}-2=MODEL")
    before = job_of(old)
    job = replace(before, candidates=(*before.candidates, *candidates), argv=tuple(argv))
    checkpoints = find_checkpoints(job.candidates)
    return _conducted(_resume(old, job, checkpoints, folder, show), folder)


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
    return Job(candidates, axes, suite, header.seed, header.limit, header.quick, argv=header.argv, show_images=shown)


def _check_new(folder: Path) -> None:
    if folder.is_file():
        raise UserError(f"{folder} is a file", hint="name a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint=f"name a new folder, or go on with it: --resume {folder}")
    parent = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"{folder} cannot be made: {parent} is no folder that you may write to", hint=_ELSEWHERE)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror or error}", hint=_ELSEWHERE) from error


def _conducted(work: Coroutine[None, None, Outcome], folder: Path) -> Outcome:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        if not (folder / ROWS_FILE).exists():
            raise Interrupted("stopped before anything was measured") from None
        raise Interrupted(f"stopped; go on with: fourways compare --resume {folder}") from None


async def _start(run_id: str, job: Job, checkpoints: Checkpoints, folder: Path, show: Show) -> Outcome:
    async with _pool(checkpoints) as pool:
        show.phase(_opening(job.candidates))
        header = _header(run_id, job, await _records(pool, job.candidates))
        _make(folder)
        write_header(header, folder)
        await _measure(folder, header, RunState(), job, pool, show)
    return _publish(folder, header, job, show)


async def _resume(old: RunHeader, job: Job, checkpoints: Checkpoints, folder: Path, show: Show) -> Outcome:
    async with _pool(checkpoints, old) as pool:
        show.phase(_opening(job.candidates))
        now = _header(old.run_id, job, await _records(pool, job.candidates))
        header = _merged(old, now)
        state = read_state(folder)
        clear_unfinished(folder, state)
        write_header(header, folder)
        await _measure(folder, header, state, job, pool, show)
    return _publish(folder, header, job, show)


def _opening(candidates: Sequence[Candidate]) -> str:
    return f"opening {len(candidates)} {'candidate' if len(candidates) == 1 else 'candidates'}"


def _merged(old: RunHeader, now: RunHeader) -> RunHeader:
    """The old header with what may be new: candidates that were added, and engines that can be opened now.

    Raises UserError with every difference that could change rows.
    """
    known = {record.candidate.name: record for record in old.candidates}
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    merged = tuple(_gone_on(known.get(record.candidate.name), record, stamp) for record in now.candidates)
    shared = tuple(record for record in merged if record.candidate.name in known)
    before = tuple(_comparable(known[record.candidate.name], record) for record in shared)
    gone = [f"candidates: {name} is gone" for name in known if name not in {r.candidate.name for r in merged}]
    differences = gone + changes(
        msgspec.structs.replace(old, candidates=before), msgspec.structs.replace(now, candidates=shared)
    )
    if differences:
        raise UserError(
            f"the run cannot go on, because it would no longer be the same: {'; '.join(differences[:8])}",
            hint="undo the change, or start a new run",
        )
    return msgspec.structs.replace(old, candidates=merged)


def _gone_on(before: CandidateRecord | None, now: CandidateRecord, stamp: str) -> CandidateRecord:
    """A new candidate joins, and so does one that can be opened for the first time; one that no longer can be opened
    stays as it was, because its rows rest on that."""
    if before is None or (before.engine is None and now.engine is not None):
        return msgspec.structs.replace(now, added=stamp)
    if now.engine is None:
        return msgspec.structs.replace(now, engine=before.engine, failure=before.failure, added=before.added)
    return msgspec.structs.replace(now, added=before.added)


def _comparable(before: CandidateRecord, merged: CandidateRecord) -> CandidateRecord:
    """The old record, but for the engine that could not be opened then."""
    if before.engine is not None:
        return before
    return msgspec.structs.replace(before, engine=merged.engine, failure=merged.failure, added=merged.added)


def _header(run_id: str, job: Job, records: Sequence[CandidateRecord]) -> RunHeader:
    return build_header(
        run_id=run_id,
        argv=job.argv,
        seed=job.seed,
        axes=job.axes,
        limit=job.limit,
        quick=job.quick,
        candidates=records,
        suite=record_suite(job.suite) if "accuracy" in job.axes else (),
        definitions=dict(figures.DEFINITIONS),
    )


async def _records(pool: EnginePool, candidates: Sequence[Candidate]) -> list[CandidateRecord]:
    return [await pool.record(candidate) for candidate in candidates]


@asynccontextmanager
async def _pool(checkpoints: Checkpoints, old: RunHeader | None = None) -> AsyncIterator[EnginePool]:
    before = {record.candidate.name: threads_of(record.engine) for record in old.candidates} if old else {}
    pool = EnginePool(checkpoints, {name: count for name, count in before.items() if count is not None})
    try:
        yield pool
    finally:
        await pool.close()


async def _measure(path: Path, header: RunHeader, state: RunState, job: Job, pool: EnginePool, show: Show) -> None:
    folder = RunFolder(path, header, state)
    settings = Settings(
        seed=job.seed, suite=job.suite, workdir=path, limit=job.limit, quick=job.quick, progress=show.step
    )
    try:
        for name in job.axes:
            left = [r for r in header.candidates if not folder.finished(name, r.candidate.name)]
            if left:
                show.phase(f"{name}: {', '.join(record.candidate.name for record in left)}")
            groups = [[record] for record in left] if ENGINES[name] == "one" else [left] if left else []
            for group in groups:
                await _measure_group(AXES[name], group, settings, folder, pool)
    finally:
        show.close()
        folder.close()


async def _measure_group(
    axis: Axis, records: Sequence[CandidateRecord], settings: Settings, folder: RunFolder, pool: EnginePool
) -> None:
    """One axis of candidates that are measured together. What fails is a row, and is not finished."""
    closed = ENGINES[axis.name] == "none"
    results = await (pool.none(records) if closed else pool.only([record.candidate for record in records]))
    opened = [result for result in results if isinstance(result, Opened)]
    lost = {result.candidate.name for result in results if isinstance(result, Failed)}
    for result in results:
        if isinstance(result, Failed):
            folder.append(_failure(result.candidate.name, axis.name, "candidate", result.error))
    names = {one.candidate.name for one in opened}
    done = folder.rows(lambda row: axis_of(row) == axis.name and row.candidate in names)
    try:
        if opened:
            async with aclosing(axis.rows(opened, settings, done)) as rows:  # type: ignore[type-var]  # rows is a generator
                async for row in rows:
                    folder.append(row)
                    if lost_axis(row):
                        lost.add(row.candidate)
    except RowsNotWritten:
        raise
    except Exception as error:
        for one in opened:
            folder.append(_failure(one.candidate.name, axis.name, "axis", explain(error)))
        lost |= names
    for name in sorted(names - lost):
        folder.finish(axis.name, name)


def _failure(candidate: str, axis: AxisName, scope: Literal["candidate", "axis"], error: FourwaysError) -> FailureRow:
    return FailureRow(candidate, axis, scope, "", error.message, error.hint)


def _publish(path: Path, header: RunHeader, job: Job, show: Show) -> Outcome:
    """Figures from the rows, the page from both, and what was lost."""
    summary, page = publish(path, header, job.suite, show, pictures=job.show_images)
    failures = losses(read_rows(path / ROWS_FILE))
    return Outcome(path, page, summary, failures, any(lost_axis(row) for row in failures))
