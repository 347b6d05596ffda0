"""What a person asked for, before anything has been looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fourways.axes.contract import CONCURRENCY, Settings
from fourways.benchmarks.suite import Suite
from fourways.core.candidate import Candidate
from fourways.core.figure import Axis as AxisName
from fourways.core.run import Shard


@dataclass(frozen=True, slots=True)
class Scale:
    """Who asks the questions of the accuracy axis; it changes no answer. replicas: workers (None: this process, or with
    Ray as many as the cluster has devices). ray: address of a cluster, `auto` or `local`. concurrency: requests in
    flight to a server by URL."""

    replicas: int | None = None
    ray: str | None = None
    concurrency: int = CONCURRENCY


@dataclass(frozen=True, slots=True)
class Job:
    """candidates × axes over a suite. limit: samples a benchmark. out: the run's folder (None: a new one in runs/).
    argv: the command line, as it goes (redacted) into the header. show_images: whether the page carries pictures.
    shard: the part of each benchmark that is asked, None for all of it."""

    candidates: tuple[Candidate, ...]
    axes: tuple[AxisName, ...]
    suite: Suite
    seed: int = 7
    limit: int | None = None
    quick: bool = False
    out: Path | None = None
    argv: tuple[str, ...] = ()
    show_images: bool = True
    shard: Shard | None = None
    scale: Scale = Scale()


def settings_of(
    job: Job, workdir: Path, progress: Callable[[int, int, str], None] = lambda done, total, what: None
) -> Settings:
    """What the axes are told."""
    return Settings(
        seed=job.seed,
        suite=job.suite,
        workdir=workdir,
        limit=job.limit,
        quick=job.quick,
        shard=job.shard,
        concurrency=job.scale.concurrency,
        progress=progress,
    )
