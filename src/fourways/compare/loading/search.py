"""The search for the greatest load that meets the SLO: which load to probe next, given how the last ones were judged.

It doubles (or halves) until it has a load that meets and one that misses, then narrows to 3 % of each other. A probe of
an overfull server says how much it answers a second, which is its capacity, so the next two probes lie closely below
and above that; else it halves the ratio. An undecided load is neither; it is left standing, and the ends are drawn
towards it from both sides. What is found is confirmed with fresh requests, because the best of many noisy probes is too
good on average; a load that is not confirmed is given up for a lower one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

from fourways.core.rows import ProbeVerdict

Purpose = Literal["bracket", "narrow", "confirm"]
WITHIN = 0.03
MOST_PROBES = 40
_MOST_STEPS = 16
_MOST_CONFIRMS = 4
_MOST_RETREATS = 3
_CLIENT = "above it the client, not the server, set the times"


@dataclass(frozen=True, slots=True)
class Reading:
    """served_per_s: answers a second, of an open loop that was overfull; None otherwise."""

    verdict: ProbeVerdict
    served_per_s: float | None = None


Probe = Callable[[float, Purpose], Awaitable[Reading]]


@dataclass(frozen=True, slots=True)
class Grid:
    """The loads there are: all rates, or whole numbers."""

    snap: Callable[[float], float]
    close: Callable[[float, float], bool]
    least: float


RATES = Grid(lambda size: float(f"{size:.4g}"), lambda low, high: high <= low * (1 + WITHIN), 1e-3)
CONCURRENCIES = Grid(lambda size: max(1.0, round(size)), lambda low, high: high - low < 1.5 or high <= 1.03 * low, 1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """meets: the greatest load that was confirmed; None if there is none. misses: the least load above it that was seen
    to miss; None if there is none. why: where either is missing."""

    meets: float | None
    misses: float | None
    why: str | None = None


async def search(probe: Probe, first: float, grid: Grid) -> Found:
    """first: where to begin; any load that is likely to be met."""
    return await _Search(probe, grid).run(grid.snap(first))


@dataclass(slots=True)
class _Search:
    probe: Probe
    grid: Grid
    met: list[float] = field(default_factory=list)
    missed: float | None = None
    grey: list[float] = field(default_factory=list)
    guesses: list[float] = field(default_factory=list)
    probes: int = 0
    bound: bool = False

    async def run(self, first: float) -> Found:
        await self._bracket(first)
        while not self.bound and self.probes < MOST_PROBES and (size := self._between()) is not None:
            await self._take(size, "narrow")
        return await self._confirm()

    async def _bracket(self, first: float) -> None:
        """Doubles until a load misses, or halves until one meets."""
        size = first
        for _ in range(_MOST_STEPS):
            await self._take(size, "bracket")
            if self.bound or (self.met and self.missed is not None):
                return
            if self.met:
                size = self.grid.snap(max(2 * self.met[-1], 2 * size))
            elif size <= self.grid.least:
                return
            else:
                size = max(self.grid.least, self.grid.snap(size / 2))

    async def _take(self, size: float, purpose: Purpose) -> ProbeVerdict:
        """A probe in which the client could not keep up is made again, once: a busy machine may have passed by."""
        self.probes += 1
        reading = await self.probe(size, purpose)
        if reading.verdict == "client_bound":
            self.probes += 1
            reading = await self.probe(size, purpose)
        if reading.verdict == "meets":
            self.met = sorted({*self.met, size})
        elif reading.verdict == "misses":
            self.missed = size if self.missed is None else min(size, self.missed)
            self.met = [one for one in self.met if one < size]
            served = reading.served_per_s
            self.guesses = [] if served is None else [served * (1 + WITHIN / 2), served * (1 - WITHIN / 2)]
        elif reading.verdict == "undecided":
            self.grey.append(size)
        else:
            self.bound = True
        return reading.verdict

    def _between(self) -> float | None:
        """The next load to probe; None when nothing is left to tell apart."""
        if not self.met or self.missed is None:
            return None
        low, high = self.met[-1], self.missed
        inside = sorted(size for size in self.grey if low < size < high)
        below, above = (inside[0], inside[-1]) if inside else (high, high)
        if not self.grid.close(low, below):
            return self._guess(low, below) or self._middle(low, below)
        if inside and not self.grid.close(above, high):
            return self._middle(above, high)
        return None

    def _guess(self, low: float, high: float) -> float | None:
        """From below first: a guess that meets makes the one above it worth asking."""
        while self.guesses:
            size = self.grid.snap(self.guesses.pop())
            if low < size < high:
                return size
        return None

    def _middle(self, low: float, high: float) -> float:
        size = self.grid.snap(sqrt(low * high))
        return size if low < size < high else (low + high) / 2 if self.grid is RATES else low + 1

    async def _confirm(self) -> Found:
        """A client that cannot keep up now did so at the loads below, which are tried as they stand."""
        for attempt in range(_MOST_CONFIRMS):
            if not self.met:
                break
            size = self.met.pop()
            verdict = await self._take(size, "confirm")
            if verdict == "meets":
                return Found(size, self.missed, self._open_above(self.bound))
            if verdict != "client_bound":
                await self._retreat(size, 1 + 2 * WITHIN * 2**attempt)
        return Found(None, self.missed, _CLIENT if self.bound else "no load was confirmed to meet it")

    async def _retreat(self, size: float, step: float) -> None:
        """Looks for a load that meets below one that was not confirmed, further down each time, before it falls back on
        one that met long ago."""
        for _ in range(_MOST_RETREATS):
            lower = self.grid.snap(size / step)
            if lower >= size or lower < self.grid.least or (self.met and self.met[-1] >= lower):
                return
            if await self._take(lower, "narrow") in ("meets", "client_bound"):
                return
            size, step = lower, step * step

    def _open_above(self, limited: bool) -> str | None:
        """Why no load above was seen to miss it; None where one was."""
        if self.missed is not None:
            return None
        return _CLIENT if limited else "no load was seen to miss it"
