"""A/B over fresh starts: A B A B …, a round of all loads each.

A local candidate is started in a process of its own each time. A server by URL is not started from here: it takes its
turn with a round of blocks, and its blocks are then its runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from fourways.axes.contract import Opened
from fourways.compare.loading.fresh import Task, started
from fourways.compare.loading.job import LoadJob, requests_a_block
from fourways.compare.loading.sending import Supply, is_lost
from fourways.compare.loading.sweeping import AXIS, Round, swept
from fourways.compare.opening import Checkpoints, EnginePool, Failed, threads_of
from fourways.compare.progress import Show
from fourways.core.candidate import Candidate
from fourways.core.rows import FailureRow, Row
from fourways.core.run import CandidateRecord
from fourways.load import Workload


@dataclass(frozen=True, slots=True)
class Restarting:
    """records: of all candidates, as they stood when each was opened once."""

    job: LoadJob
    drawn: Workload
    workload_seed: int
    checkpoints: Checkpoints
    show: Show

    async def rows(self, records: Sequence[CandidateRecord], pool: EnginePool) -> AsyncGenerator[Row, None]:
        """A candidate that broke is not started again."""
        known = {record.candidate.name: record for record in records}
        servers = [candidate for candidate in self.job.candidates if candidate.url is not None]
        opened = {result.candidate.name: result for result in await pool.only(servers)}
        supplies = {candidate.name: Supply(self.drawn) for candidate in servers}
        lost: set[str] = set()
        for restart in range(self.job.restarts):
            for candidate in self.job.candidates:
                if candidate.name in lost:
                    continue
                rows = self._turn(candidate, known[candidate.name], restart, opened, supplies)
                async with aclosing(rows) as made:
                    async for row in made:
                        lost |= {row.candidate} if is_lost(row) else set()
                        yield row

    def _turn(
        self,
        candidate: Candidate,
        record: CandidateRecord,
        restart: int,
        opened: Mapping[str, Opened | Failed],
        supplies: Mapping[str, Supply],
    ) -> AsyncGenerator[Row, None]:
        if candidate.url is None:
            return started(self._task(candidate, record, restart), self.show)
        return self._server_round(opened[candidate.name], supplies[candidate.name], restart)

    async def _server_round(self, result: Opened | Failed, supply: Supply, restart: int) -> AsyncGenerator[Row, None]:
        if isinstance(result, Failed):
            yield not_opened(result)
            return
        at = Round(0, restart * self.job.blocks)
        async with aclosing(swept([result], self.drawn, supply, self.job, at, self.show)) as rows:
            async for row in rows:
                yield row

    def _task(self, candidate: Candidate, record: CandidateRecord, restart: int) -> Task:
        job, checkpoint = self.job, self.checkpoints[candidate.name]
        assert checkpoint is not None  # it is local
        return Task(
            candidate=candidate,
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


def not_opened(result: Failed) -> FailureRow:
    """A candidate that could not be opened."""
    error = result.error
    return FailureRow(result.candidate.name, AXIS, "candidate", "", error.message, error.hint, status=result.status)
