"""What a person asked for with `fourways load`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

from fourways.compare.loading.verdict import LOOKS, least_requests
from fourways.core.candidate import Candidate
from fourways.core.load import Arrivals, Load
from fourways.core.objective import Objective

REQUESTS, BLOCKS, WARM_UP, LONGEST_S = 200, 4, 8, 60.0
RESTARTS = 5
MOST_REQUESTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Seek:
    """A search for the greatest load that meets the SLO: open loops of one kind of arrivals (constant or poisson) by
    rate, or closed ones by concurrency. longest_s: of one probe."""

    arrivals: Arrivals
    longest_s: float = LONGEST_S


@dataclass(frozen=True, slots=True)
class Price:
    """Of an hour of the machine that answers. currency: any text."""

    amount: float
    currency: str = ""


@dataclass(frozen=True, slots=True)
class LoadJob:
    """candidates × loads over a workload. loads: empty with `seek`. requests: of each candidate at each load, over all
    blocks of one start; None: as many as take about `duration_s`, else 200, or the whole of a replay. split: the blocks
    that are asked for; None: four, or one of a ramp or a replay, which is cut by none. warm_up: requests before each
    load, of other pictures, in no figure. restarts: fresh starts of each candidate, 0 for none. out: None for a new
    folder in runs/.
    """

    candidates: tuple[Candidate, ...]
    workload: str
    loads: tuple[Load, ...]
    requests: int | None = None
    duration_s: float | None = None
    warm_up: int = WARM_UP
    split: int | None = None
    restarts: int = 0
    objectives: tuple[Objective, ...] = ()
    seek: Seek | None = None
    price: Price | None = None
    seed: int = 7
    out: Path | None = None
    argv: tuple[str, ...] = ()

    @property
    def blocks(self) -> int:
        whole = any(load.arrivals in ("ramp", "replay") for load in self.loads)
        return self.split or (1 if whole else BLOCKS)

    @property
    def runs(self) -> Literal["restarts", "blocks"]:
        return "restarts" if self.restarts else "blocks"


def requests_a_block(job: LoadJob, load: Load, served_per_s: float | None) -> int:
    """served_per_s: answers a second while it was warmed up; what a closed loop of some duration takes is told from
    it. A replay may have fewer."""
    if job.duration_s is None and job.requests is None and load.arrivals == "replay":
        return MOST_REQUESTS
    if job.duration_s is None:
        return max(1, ceil((job.requests or REQUESTS) / job.blocks))
    pace = served_per_s if load.arrivals == "closed" else mean_rate(load)
    wanted = max(1, round(job.duration_s * (pace or 1.0) / job.blocks))
    return min(wanted, MOST_REQUESTS if job.requests is None else ceil(job.requests / job.blocks))


def requests_a_probe(job: LoadJob, load: Load) -> tuple[int, int]:
    """(of its first look, at the most)."""
    first = max(least_requests(job.objectives), 3 * (load.concurrency or 1))
    longest = first * 2 ** (LOOKS - 1)
    if load.rate_per_s is not None and job.seek is not None:
        longest = min(longest, max(first, round(load.rate_per_s * job.seek.longest_s)))
    return first, longest


def mean_rate(load: Load) -> float | None:
    """Requests a second that are due, over the whole of an open loop."""
    if load.rate_per_s is None:
        return None
    return (load.rate_per_s + (load.from_rate_per_s or 0.0)) / 2 if load.arrivals == "ramp" else load.rate_per_s
