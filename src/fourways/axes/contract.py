"""An axis turns opened candidates into rows. It decides nothing about figures, files or pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from fourways.axes.crew import Crew
from fourways.benchmarks.suite import Suite
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.engine import Engine
from fourways.core.figure import Axis as AxisName
from fourways.core.rows import Row
from fourways.core.run import Shard

CONCURRENCY = 64
"""Requests in flight to a server by URL, unless the user says otherwise: a batch that servers fill by default, and no
more connections than a shared one forgives."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A candidate ready to answer. checkpoint is None for a server by URL. crew: the workers that answer in place of
    the engine, which then only says what it is; None if the engine answers."""

    candidate: Candidate
    checkpoint: Checkpoint | None
    engine: Engine
    crew: Crew | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What every axis is told.

    suite: the benchmarks and their data. limit: at most so many samples a benchmark (None: all), drawn by the seed.
    quick: a shortened run (continuous integration); every figure then has a smaller n and says so by itself.
    shard: the part of each benchmark that is asked (None: all). concurrency: requests in flight to a server by URL.
    workdir: scratch space that survives until the run ends. progress(done, total, what) is called often and cheaply.
    """

    seed: int
    suite: Suite
    workdir: Path
    limit: int | None = None
    quick: bool = False
    shard: Shard | None = None
    concurrency: int = CONCURRENCY
    progress: Callable[[int, int, str], None] = field(default=lambda done, total, what: None)


class Axis(Protocol):
    """One of the four ways."""

    name: ClassVar[AxisName]

    def estimate(self, candidates: Sequence[Candidate], settings: Settings) -> tuple[int, float]:
        """(units of work, rough seconds), for `--dry-run`; runs nothing."""

    def rows(self, opened: Sequence[Opened], settings: Settings, done: Sequence[Row]) -> AsyncIterator[Row]:
        """Facts as they are observed, interleaving candidates where the axis is timed. done: this axis's rows of an
        interrupted run; an axis that can go on skips them, a timed one is given none and starts again. A candidate that
        fails yields a FailureRow and the others finish."""
