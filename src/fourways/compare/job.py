"""What a person asked for, before anything has been looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fourways.benchmarks.suite import Suite
from fourways.core.candidate import Candidate
from fourways.core.figure import Axis as AxisName


@dataclass(frozen=True, slots=True)
class Job:
    """candidates × axes over a suite. limit: samples a benchmark. out: the run's folder (None: a new one in runs/).
    argv: the command line, as it goes (redacted) into the header. show_images: whether the page carries pictures."""

    candidates: tuple[Candidate, ...]
    axes: tuple[AxisName, ...]
    suite: Suite
    seed: int = 7
    limit: int | None = None
    quick: bool = False
    out: Path | None = None
    argv: tuple[str, ...] = ()
    show_images: bool = True
