"""How the load client itself fares while it sends: was it the client, and not the engine, that set the times?"""

from __future__ import annotations

import asyncio
import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np

from fourways.core.engine import Engine
from fourways.core.rows import RequestRow

SLEEP_S = 0.02
"""Of each probe: fifty a second show a stall of 20 ms surely, and cost about 0.2 % of a core."""
SHARE_OF_TTFT = 0.1
FLOOR_MS = 2.0
"""A delay of the client counts from a tenth of the median ttft on, and never below this: asyncio's own timers are up to
1 ms late by design."""
BUSY_SHARE = 0.8
"""Of one core, in the event loop's thread: beyond it, what arrives waits in line (M/D/1: 2 service times at 0.8)."""


@dataclass(frozen=True, slots=True)
class Health:
    """Facts of `core.rows.ClientRow`; units and meanings are there. busy_share: processor time of the event loop's
    thread / time."""

    wall_ms: float
    cpu_ms: float
    busy_share: float
    lag_n: int
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    shares_process: bool
    client_bound: str | None


@runtime_checkable
class HoldsBack(Protocol):
    """An engine whose client side lets only so many requests out; `held_back` counts those that waited for it."""

    held_back: int


class Meter:
    """`async with Meter(engine) as meter:` around the sending of one block; then `meter.health(rows)`.

    While it is open it sleeps again and again for SLEEP_S and notes how late it woke: so late is whatever else the loop
    has to do, a request's dispatch among it. A wake that is late by several sleeps stands for all that it kept from
    happening, each as late as it would have been: a stall must not hide itself. Enter, leave and send in one loop.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shares_process = "url" not in engine.info.settings  # what is reached by a URL works in another process
        self._lags_ms = array("d")
        self._wall_s = self._cpu_s = self._loop_s = 0.0
        self._held_back = 0

    async def __aenter__(self) -> Self:
        self._thread = threading.get_ident()
        self._probe = asyncio.create_task(self._probes())
        await asyncio.sleep(0)  # it falls asleep
        self._held_back = -self._held()
        self._began = _clocks()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError("a Meter is left by the thread that entered it: it reads that thread's processor time")
        wall_s, loop_s, process_s = (after - before for before, after in zip(self._began, _clocks(), strict=True))
        self._wall_s, self._loop_s = wall_s, loop_s
        # In its own process all that runs is the client. Beside an engine only the loop's thread can be told apart.
        self._cpu_s = loop_s if self._shares_process else process_s
        self._held_back += self._held()
        if time.perf_counter() - self._asleep_s > SLEEP_S:  # it should have woken by now
            self._woke()
        self._probe.cancel()
        await asyncio.gather(self._probe, return_exceptions=True)

    def health(self, rows: Sequence[RequestRow]) -> Health:
        """rows: of all requests that were sent meanwhile, failed ones too. Their dispatch delays and ttft decide
        whether the client's own delay was small beside what it measured."""
        lags = np.asarray(self._lags_ms)
        p50, p99, most = (float(x) for x in np.quantile(lags, (0.5, 0.99, 1.0))) if len(lags) else (0.0, 0.0, 0.0)
        busy = self._loop_s / self._wall_s if self._wall_s else 0.0
        return Health(
            wall_ms=self._wall_s * 1e3,
            cpu_ms=self._cpu_s * 1e3,
            busy_share=busy,
            lag_n=len(lags),
            lag_p50_ms=p50,
            lag_p99_ms=p99,
            lag_max_ms=most,
            shares_process=self._shares_process,
            client_bound=self._bound(rows, busy),
        )

    def _bound(self, rows: Sequence[RequestRow], busy: float) -> str | None:
        """The first reason that holds."""
        if self._held_back:
            return f"{self._held_back} requests waited for the client's own limit of requests in flight"
        if busy > BUSY_SHARE:
            return f"the client's event loop was busy {busy:.0%} of the time"
        answered = [row.ttft_ms for row in rows if row.ttft_ms is not None]
        if not answered:
            return None
        middle = float(np.median(answered))
        most = max(FLOOR_MS, SHARE_OF_TTFT * middle)
        late = sum(row.dispatched_ms - row.scheduled_ms > most for row in rows)
        woke = sum(lag > most for lag in self._lags_ms)
        than = f"more than {most:.1f} ms late, where the median ttft of that block is {middle:.1f} ms"
        if late > self._excused(len(rows)):
            return f"{late} of {len(rows)} requests left the client {than}"
        if woke > self._excused(len(self._lags_ms)) and not self._shares_process:
            return f"{woke} of {len(self._lags_ms)} times the client's event loop woke {than}"
        return None

    def _excused(self, count: int) -> float:
        """How many of `count` may be late. Of a client alone one in a hundred, and a single one, which proves nothing.
        Beside an engine half: whoever calls that engine waits for the interpreter too, in service as here, so that only
        what delays most requests is held against the client."""
        return count / 2 if self._shares_process else max(1.0, count / 100)

    def _held(self) -> int:
        return self._engine.held_back if isinstance(self._engine, HoldsBack) else 0

    async def _probes(self) -> None:
        while True:
            self._asleep_s = time.perf_counter()
            await asyncio.sleep(SLEEP_S)
            self._woke()

    def _woke(self) -> None:
        late_s = max(0.0, time.perf_counter() - self._asleep_s - SLEEP_S)
        self._lags_ms.append(late_s * 1e3)
        self._lags_ms.extend((late_s - missed * SLEEP_S) * 1e3 for missed in range(1, int(late_s / SLEEP_S) + 1))


def _clocks() -> tuple[float, float, float]:
    """Time, processor time of this thread, processor time of this process; in seconds."""
    return time.perf_counter(), time.thread_time(), time.process_time()
