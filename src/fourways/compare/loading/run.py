"""Starts a load run: opens the candidates, writes the rows as they come, and at the end the figures and the page.

Contract: a row is in the folder before the next request is counted. Ctrl-C keeps the rows, and what they give is still
written. A run of times cannot be gone on with: times from two hours are not one measurement.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fourways import figures
from fourways.axes.contract import Opened
from fourways.compare.folder import RunFolder, check_new, make
from fourways.compare.loading.job import LoadJob, requests_a_block
from fourways.compare.loading.probing import Prober
from fourways.compare.loading.restarting import Restarting, not_opened
from fourways.compare.loading.sending import Supply, is_lost, with_adapters
from fourways.compare.loading.sweeping import AXIS, Round, dead, swept
from fourways.compare.losses import losses
from fourways.compare.opening import Checkpoints, EnginePool, find_checkpoints
from fourways.compare.outcome import Interrupted, Outcome
from fourways.compare.progress import Show
from fourways.compare.publishing import publish
from fourways.compare.tracing import traced
from fourways.compare.workloads import open_workload
from fourways.core.errors import UserError
from fourways.core.load import Load
from fourways.core.request import derive_seed
from fourways.core.rows import RequestRow, Row, TermsRow
from fourways.core.run import CandidateRecord, RunHeader, RunState
from fourways.core.run_files import ROWS_FILE, RUN_FILE, read_header, read_rows
from fourways.evidence import build_header, new_run_id, write_header
from fourways.figures.restarts import LEAST_RUNS
from fourways.load import Workload

_OF_A_SEARCH = 2000
"""About as many requests as a search sends."""


def start_load(job: LoadJob, show: Show) -> Outcome:
    """Raises UserError before anything is sent if a name, a file or a folder cannot be used; Interrupted on Ctrl-C."""
    check(job)
    run_id = new_run_id(["load", *(candidate.name for candidate in job.candidates)])
    folder = job.out or Path("runs") / run_id
    check_new(folder)
    drawn, seed = opened_workload(job)
    check_asked_of(job, drawn)
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


def check_asked_of(job: LoadJob, drawn: Workload) -> None:
    """Raises UserError for a workload whose requests a target could only refuse."""
    servers = [candidate.name for candidate in job.candidates if candidate.url is not None]
    if servers and drawn.sets_budgets:
        raise UserError(
            f"the workload {drawn.name} sets visual_budget, which a server by URL cannot be asked for "
            f"({', '.join(servers)}): no access",
            hint="leave visual_budget out of the workload, and start the server with a bound of its own",
        )


def cannot_tell(job: LoadJob) -> list[str]:
    """What is known before to come out as nothing."""
    if 0 < job.restarts < LEAST_RUNS and len(job.candidates) > 1:
        return [
            f"--restarts {job.restarts}: too few to tell candidates apart, whatever they show: {LEAST_RUNS}, better 5"
        ]
    return []


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


def foreseen(job: LoadJob, drawn: Workload, load: Load) -> int:
    """Requests a block: a trace that is replayed has no more than its lines."""
    count = requests_a_block(job, load, None)
    return count if drawn.replay is None or drawn.limit is None else min(count, drawn.limit)


def _conducted(work: Coroutine[None, None, Outcome], folder: Path, show: Show) -> Outcome:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        kept = _requests_in(folder)
        if not kept:
            raise Interrupted("stopped before anything was measured") from None
        _, page = publish(folder, read_header(folder), {}, show, pictures=False)
        raise Interrupted(
            f"stopped after {kept:,} requests; what was measured until then is in {folder}, its report is {page}",
            hint="times cannot be gone on with later: start again for the rest",
        ) from None


def _requests_in(folder: Path) -> int:
    if not (folder / RUN_FILE).exists():
        return 0
    return sum(isinstance(row, RequestRow) for row in read_rows(folder / ROWS_FILE))


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
        for line in cannot_tell(self.job):
            self.show.phase(line)
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
            with self._traced(folder):
                async with aclosing(self._measured(header, pool, folder)) as rows:
                    async for row in rows:
                        folder.append(row)
                        lost |= {row.candidate} if is_lost(row) else set()
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

    def _traced(self, folder: RunFolder) -> AbstractContextManager[object]:
        """Fresh starts are processes of their own, which this one's trace does not see."""
        if self.job.restarts:
            return nullcontext()
        a_load = [self.job.blocks * foreseen(self.job, self.drawn, load) for load in self.job.loads]
        return traced(folder, AXIS, len(self.job.candidates) * sum(a_load) or _OF_A_SEARCH, self.show.phase)

    async def _measured(self, header: RunHeader, pool: EnginePool, folder: RunFolder) -> AsyncGenerator[Row, None]:
        job, drawn = self.job, self.drawn
        if job.restarts:
            restarting = Restarting(job, drawn, self.workload_seed, self.checkpoints, self.show)
            async with aclosing(restarting.rows(header.candidates, pool)) as rows:
                async for row in rows:
                    yield row
            return
        opened: list[Opened] = []
        for result in await pool.only(job.candidates):
            if not isinstance(result, Opened):
                yield not_opened(result)
            elif (lost := await with_adapters(result, drawn)) is not None:
                yield lost
            else:
                opened.append(result)
        if opened:
            self.show.phase(f"load: {', '.join(one.candidate.name for one in opened)}")
        if job.seek is None:
            async with aclosing(swept(opened, drawn, Supply(drawn), job, Round(), self.show)) as rows:
                async for row in rows:
                    yield row
            return
        for one in opened:
            prober = Prober(one, drawn, Supply(drawn), job, job.seek, folder.append, self.show)
            if isinstance(found := await prober.search(), str):
                yield dead(one, f"{drawn.name}, warm-up", found)
