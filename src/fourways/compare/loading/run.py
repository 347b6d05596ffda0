"""Starts a load run: opens the candidates, writes the rows as they come, and at the end the figures and the page.

Contract: a row is in the folder before the next request is counted. Ctrl-C keeps the rows, and what they give is still
written. A run of times cannot be gone on with: times from two hours are not one measurement.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from fourways import figures
from fourways.axes.contract import Opened
from fourways.compare.folder import RunFolder, check_new, make
from fourways.compare.loading.fresh import Task, started
from fourways.compare.loading.job import LoadJob, requests_a_block
from fourways.compare.loading.probing import Prober
from fourways.compare.loading.sending import Supply
from fourways.compare.loading.sweeping import AXIS, Round, dead, swept
from fourways.compare.losses import losses
from fourways.compare.opening import Checkpoints, EnginePool, Failed, find_checkpoints, threads_of
from fourways.compare.progress import Show
from fourways.compare.publishing import publish
from fourways.compare.run import Interrupted, Outcome
from fourways.compare.tracing import traced
from fourways.compare.workloads import open_workload
from fourways.core.errors import UserError
from fourways.core.load import Load
from fourways.core.request import derive_seed
from fourways.core.rows import FailureRow, RequestRow, Row, TermsRow
from fourways.core.run import CandidateRecord, RunHeader, RunState
from fourways.core.run_files import ROWS_FILE, RUN_FILE, read_header, read_rows
from fourways.evidence import build_header, new_run_id, write_header
from fourways.load import Workload


def start_load(job: LoadJob, show: Show) -> Outcome:
    """Raises UserError before anything is sent if a name, a file or a folder cannot be used; Interrupted on Ctrl-C."""
    check(job)
    run_id = new_run_id(["load", *(candidate.name for candidate in job.candidates)])
    folder = job.out or Path("runs") / run_id
    check_new(folder)
    drawn, seed = opened_workload(job)
    checkpoints = find_checkpoints(job.candidates)
    run = _Run(replace(job, loads=loads_of(job, drawn)), drawn, seed, checkpoints, folder, show)
    return _conducted(run.measured(run_id), folder, show)


def check(job: LoadJob) -> None:
    """Raises UserError for what cannot go together."""
    if job.restarts and job.seek is not None:
        raise UserError("--restarts and --search exclude each other", hint="search first, then compare at that load")
    if job.seek is not None and not job.objectives:
        raise UserError("--search needs an SLO to search for", hint="for example: --slo ttft_p95=500ms")
    if job.restarts and all(candidate.url is not None for candidate in job.candidates):
        raise UserError(
            "--restarts starts engines afresh, and a server by URL cannot be started from here",
            hint="leave it out: blocks take turns, and A/B tests then rest on blocks (--blocks 5)",
        )


def opened_workload(job: LoadJob) -> tuple[Workload, int]:
    """The workload and its seed. Where a server is timed it is drawn by chance too, since it may remember the pictures
    of an earlier run; the header names the seed."""
    luck = secrets.token_hex(8) if any(candidate.url is not None for candidate in job.candidates) else ""
    seed = derive_seed(job.seed, f"load/{luck}")
    return open_workload(job.workload, seed=seed), seed


def loads_of(job: LoadJob, drawn: Workload) -> tuple[Load, ...]:
    """A trace is sent as it was recorded, unless other loads are asked for."""
    if job.loads or job.seek is not None:
        return job.loads
    return (drawn.replay,) if drawn.replay is not None else (Load(concurrency=1),)


def _conducted(work: Coroutine[None, None, Outcome], folder: Path, show: Show) -> Outcome:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        if not (folder / RUN_FILE).exists() or not any(
            isinstance(r, RequestRow) for r in read_rows(folder / ROWS_FILE)
        ):
            raise Interrupted("stopped before anything was measured") from None
        publish(folder, read_header(folder), {}, show, pictures=False)
        raise Interrupted(
            f"stopped; what was measured until then is in {folder}",
            hint="times cannot be gone on with later: start again for the rest",
        ) from None


@dataclass(slots=True)
class _Run:
    job: LoadJob
    drawn: Workload
    workload_seed: int
    checkpoints: Checkpoints
    path: Path
    show: Show

    async def measured(self, run_id: str) -> Outcome:
        names = len(self.job.candidates)
        self.show.phase(f"opening {names} {'candidate' if names == 1 else 'candidates'}")
        pool = EnginePool(self.checkpoints, {}, None)
        try:
            made = {c.name: await pool.record(c) for c in pool.in_turn(self.job.candidates)}
            header = self._header(run_id, [made[c.name] for c in self.job.candidates], pool)
            make(self.path)
            write_header(header, self.path)
            await self._rows(header, pool)
        finally:
            await pool.close()
        summary, page = publish(self.path, read_header(self.path), {}, self.show, pictures=False)
        failures, partly = losses(read_rows(self.path / ROWS_FILE))
        return Outcome(self.path, page, summary, failures, partly, try_again=False)

    def _header(self, run_id: str, records: Sequence[CandidateRecord], pool: EnginePool) -> RunHeader:
        return build_header(
            run_id=run_id,
            argv=self.job.argv,
            seed=self.job.seed,
            axes=(AXIS,),
            limit=None,
            quick=False,
            candidates=records,
            suite=(),
            definitions=dict(figures.DEFINITIONS),
            workloads=[self.drawn.record],
            thread_choice=pool.choice,
        )

    async def _rows(self, header: RunHeader, pool: EnginePool) -> None:
        folder = RunFolder(self.path, header, RunState())
        lost: set[str] = set()
        try:
            for terms in self._terms():
                folder.append(terms)
            with traced(folder, AXIS, self._foreseen(), self.show.phase):
                async with aclosing(self._measured(header, pool, folder)) as rows:
                    async for row in rows:
                        folder.append(row)
                        lost |= {row.candidate} if isinstance(row, FailureRow) else set()
            for candidate in self.job.candidates:
                if candidate.name not in lost:
                    folder.finish(AXIS, candidate.name)
        finally:
            self.show.close()
            folder.close()

    def _terms(self) -> list[TermsRow]:
        price = self.job.price
        return [
            TermsRow(
                candidate.name,
                self.job.objectives,
                None if price is None else price.amount,
                "" if price is None else price.currency,
                "restarts" if self.job.restarts and candidate.url is None else "blocks",
            )
            for candidate in self.job.candidates
        ]

    def _foreseen(self) -> int:
        """About how many requests there will be."""
        starts = max(1, self.job.restarts)
        a_load = [self.job.blocks * requests_a_block(self.job, load, None) for load in self.job.loads]
        return starts * len(self.job.candidates) * sum(a_load) or 2000

    async def _measured(self, header: RunHeader, pool: EnginePool, folder: RunFolder) -> AsyncGenerator[Row, None]:
        if self.job.restarts:
            async with aclosing(self._restarted(header, pool)) as rows:
                async for row in rows:
                    yield row
            return
        results = await pool.only(self.job.candidates)
        for failed in results:
            if isinstance(failed, Failed):
                yield _failed(failed)
        opened = [one for one in results if isinstance(one, Opened)]
        self.show.phase(f"load: {', '.join(one.candidate.name for one in opened)}")
        if self.job.seek is None:
            async with aclosing(swept(opened, self.drawn, Supply(self.drawn), self.job, Round(), self.show)) as rows:
                async for row in rows:
                    yield row
            return
        for one in opened:
            prober = Prober(one, self.drawn, Supply(self.drawn), self.job, self.job.seek, folder.append, self.show)
            found = await prober.search()
            if isinstance(found, str):
                yield dead(one, f"{self.drawn.name}, warm-up", found)

    async def _restarted(self, header: RunHeader, pool: EnginePool) -> AsyncGenerator[Row, None]:
        """A B A B …: a fresh process for each local candidate; a server by URL, which is not started from here, takes
        its turn with a round of blocks."""
        records = {record.candidate.name: record for record in header.candidates}
        servers = [c for c in self.job.candidates if c.url is not None]
        results = {one.candidate.name: one for one in await pool.only(servers)}
        lost: set[str] = set()
        supplies = {candidate.name: Supply(self.drawn) for candidate in self.job.candidates}
        for restart in range(self.job.restarts):
            for candidate in self.job.candidates:
                if candidate.name in lost:
                    continue
                rows = (
                    started(self._task(records[candidate.name], restart), self.show)
                    if candidate.url is None
                    else self._server_round(results[candidate.name], supplies[candidate.name], restart)
                )
                async with aclosing(rows):
                    async for row in rows:
                        lost |= {row.candidate} if isinstance(row, FailureRow) else set()
                        yield row

    async def _server_round(self, result: Opened | Failed, supply: Supply, restart: int) -> AsyncGenerator[Row, None]:
        if isinstance(result, Failed):
            yield _failed(result)
            return
        at = Round(0, restart * self.job.blocks)
        async with aclosing(swept([result], self.drawn, supply, self.job, at, self.show)) as rows:
            async for row in rows:
                yield row

    def _task(self, record: CandidateRecord, restart: int) -> Task:
        job, candidate = self.job, record.candidate
        checkpoint = self.checkpoints[candidate.name]
        assert checkpoint is not None  # local
        return Task(
            candidate=next(c for c in job.candidates if c.name == candidate.name),
            checkpoint=checkpoint,
            threads=candidate.threads or threads_of(record.engine),
            workload=job.workload,
            workload_seed=self.workload_seed,
            loads=job.loads,
            requests=job.requests,
            duration_s=job.duration_s,
            warm_up=job.warm_up,
            blocks=job.blocks,
            seed=job.seed,
            restart=restart,
            skip=restart * sum(job.blocks * requests_a_block(job, load, None) for load in job.loads),
        )


def _failed(result: Failed) -> FailureRow:
    error = result.error
    return FailureRow(result.candidate.name, AXIS, "candidate", "", error.message, error.hint, status=result.status)
