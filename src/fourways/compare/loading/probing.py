"""The search of one candidate: probes as requests that are sent, and stopped as soon as they decide.

Between probes the server is let empty: a load that was more than it answers leaves a queue behind, and the next probe
would find it. Single requests are sent, in no figure, until one is answered as fast as before the search.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf

from fourways.axes.contract import Opened
from fourways.compare.loading.job import LoadJob, Seek, requests_a_probe
from fourways.compare.loading.search import CONCURRENCIES, RATES, Found, Grid, Purpose, Reading, search
from fourways.compare.loading.sending import Supply, Turn, Warmed, answered, drawn_asks, warm_up
from fourways.compare.loading.telling import Telling
from fourways.compare.loading.verdict import LOOKS, Judgement, in_order, judge, judge_last
from fourways.compare.progress import Show
from fourways.core.load import Load
from fourways.core.request import derive_seed
from fourways.core.rows import ClientRow, ProbeRow, RequestRow, Row
from fourways.load import Workload, instants

_SETTLE_S, _PAUSE_S = 60.0, 0.1
_AS_BEFORE, _SLACK_MS = 1.5, 20.0
_SINGLES, _BEGIN_AT = 3, 8
_ALONE = Load(concurrency=1)


@dataclass(slots=True)
class Prober:
    """One candidate under search. write: keeps a row. Every probe has a block number of its own."""

    one: Opened
    drawn: Workload
    supply: Supply
    job: LoadJob
    seek: Seek
    write: Callable[[Row], None]
    show: Show
    _block: int = 0
    _warmed: int = 0
    _alone_ms: float = field(default=0.0)

    async def search(self) -> Found | str:
        """What was found; or the first error, if the candidate answers nothing."""
        begun = await self._warm(Load(concurrency=_BEGIN_AT), self.job.warm_up)
        alone = await self._warm(_ALONE, _SINGLES)
        if (error := begun.dead or alone.dead) is not None:
            return error
        self._alone_ms = alone.e2e_ms or 0.0
        return await search(self._probe, self._first(begun), self._grid)

    @property
    def _grid(self) -> Grid:
        return CONCURRENCIES if self.seek.arrivals == "closed" else RATES

    def _first(self, begun: Warmed) -> float:
        """Half of what eight at a time are answered a second; of a closed loop, one at a time."""
        return 1.0 if self.seek.arrivals == "closed" else (begun.served_per_s or 1.0) / 2

    async def _probe(self, size: float, purpose: Purpose) -> Reading:
        load = Load(concurrency=round(size)) if self.seek.arrivals == "closed" else self._open(size)
        first, most = requests_a_probe(self.job, load)
        items, cache = self.supply.take(most)
        turn = Turn(f"probe/{self._block}", load, self._block, items, cache)
        seed = derive_seed(self.job.seed, f"probe/{turn.block}")
        watched = Watched(self.job, load, first, most, seed)
        client = await self._send(turn, watched, purpose, seed)
        judged = watched.judged
        verdict, reason = judged.verdict, judged.reason
        if client is not None and client.client_bound is not None and verdict != "meets":
            verdict, reason = "client_bound", f"client-bound: {client.client_bound}"
        self.write(
            ProbeRow(
                candidate=self.one.candidate.name,
                workload=self.drawn.name,
                load=load,
                cache=cache,
                block=self._block,
                purpose=purpose,
                verdict=verdict,
                reason=reason,
                judged=judged.judged,
                unfinished=watched.unfinished,
                served_per_s=judged.served_per_s,
                growth=judged.growth,
            )
        )
        self._block += 1
        await self._settle()
        overfull = verdict == "misses" and judged.overfull
        return Reading(verdict, judged.served_per_s if overfull else None)

    def _open(self, rate: float) -> Load:
        return Load(self.seek.arrivals, rate_per_s=rate)

    async def _send(self, turn: Turn, watched: Watched, purpose: Purpose, seed: int) -> ClientRow | None:
        asks = await drawn_asks(self.one, self.drawn, turn, self.job.seed)
        told = Telling(self.show, f"{self.one.candidate.name} · {purpose} {turn.load.label}")
        told.block(watched.most, 1)
        client: ClientRow | None = None
        rows = answered(
            self.one, asks, turn, workload=self.drawn.name, seed=seed, timeout_s=self.seek.longest_s,
            enough=watched.enough,
        )  # fmt: skip
        async with aclosing(rows) as found:
            async for row in found:
                self.write(row)
                if isinstance(row, RequestRow):
                    told.row(row)
                elif isinstance(row, ClientRow):
                    client = row
        return client

    async def _settle(self) -> None:
        """Returns when a single request is answered as before; after a minute it says so and goes on."""
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline:
            warmed = await self._warm(_ALONE, 1)
            if warmed.e2e_ms is not None and warmed.e2e_ms <= _AS_BEFORE * self._alone_ms + _SLACK_MS:
                return
            await asyncio.sleep(_PAUSE_S)  # a server that refuses at once is not asked again at once
        found = "no answer" if warmed.e2e_ms is None else f"{warmed.e2e_ms:.0f} ms"
        self.show.phase(f"{self.one.candidate.name}: a single request has {found}, {self._alone_ms:.0f} ms before")

    async def _warm(self, load: Load, count: int) -> Warmed:
        items = range(self._warmed, self._warmed + count)
        self._warmed += count
        return await warm_up(self.one, self.drawn, load, items, self.job.seed)


class Watched:
    """The requests of a probe as they end, looked at after `first`, 2 × first, … up to `most`."""

    def __init__(self, job: LoadJob, load: Load, first: int, most: int, seed: int) -> None:
        """seed: of the instants at which the requests are due."""
        self.most = most
        self.judged = Judgement("undecided", "no request ended", 0)
        self._objectives = job.objectives
        self._rows: dict[int, RequestRow] = {}
        self._latest_ms = 0.0
        self._inside = load.concurrency
        # An open loop's length is its number of requests; how long those of a closed one take is the server's doing.
        self._longest_ms = 1000 * job.seek.longest_s if job.seek and load.arrivals == "closed" else inf
        self._first = first
        self._due_s = None if load.arrivals == "closed" else instants(load, most, seed)
        self._looks = [first * 2**look for look in range(LOOKS) if first * 2**look < most][: LOOKS - 1]

    def enough(self, index: int, row: RequestRow) -> bool:
        self._rows[index] = row
        self._latest_ms = max(self._latest_ms, row.scheduled_ms + (row.e2e_ms or 0.0))
        late = self._latest_ms >= self._longest_ms and len(self._rows) >= self._first
        if len(self._rows) == self.most or late:
            self.judged = judge_last(in_order(self._rows), self._objectives)
            return True
        if not self._looks or len(self._rows) < self._looks[0]:
            return False
        ready = in_order(self._rows)
        if len(ready) < self._looks[0]:
            return False
        self._looks.pop(0)
        self.judged = judge(ready, self._objectives)
        return self.judged.verdict != "undecided"

    @property
    def unfinished(self) -> int:
        """Inside when the last one that was seen ended."""
        left = self.most - len(self._rows)
        if self._due_s is None:
            return min(left, self._inside or 0)
        return max(0, bisect_right(self._due_s, self._latest_ms / 1000) - len(self._rows))
