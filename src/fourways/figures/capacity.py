"""The greatest load that was confirmed to meet the SLO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from fourways.core.figure import Figure, Status
from fourways.core.objective import Objective
from fourways.core.rows import ProbeRow
from fourways.figures.definition import Definition, Estimate, absent
from fourways.figures.definition import figure as figure_of
from fourways.stats import Interval

_FORMULA = (
    "the greatest {} that was confirmed, with fresh requests, to meet the SLO; where none was, the greatest that met "
    "it, marked as a lower bound"
)
_INTERVAL = (
    "the bracket, which is no confidence interval: from the load that was confirmed to the least above it that was "
    "seen to miss the SLO or to be more than is answered. Looks at a probe share 5 %, half for each side; what waits "
    "in a queue is dependent in ways that batches see only in part, so that close to the capacity probes err more "
    "often. A load of up to 2 % more than is answered passes as steady"
)
CAPACITY_RATE = Definition(
    "capacity",
    "latency",
    "requests/s",
    "higher",
    "probes",
    _FORMULA.format("rate of an open loop"),
    _INTERVAL,
    version=2,
)
CAPACITY_CONCURRENCY = Definition(
    "capacity_concurrency",
    "latency",
    "requests",
    "higher",
    "probes",
    _FORMULA.format("concurrency"),
    _INTERVAL,
    version=2,
)
CAPACITIES = (CAPACITY_RATE, CAPACITY_CONCURRENCY)


def capacity_figures(name: str, probes: Sequence[ProbeRow], objectives: Sequence[Objective]) -> Iterator[Figure]:
    """One for each workload that was searched: the headline of the axis."""
    for workload in dict.fromkeys(probe.workload for probe in probes):
        yield _capacity(name, [probe for probe in probes if probe.workload == workload], objectives)


def _capacity(name: str, probes: Sequence[ProbeRow], objectives: Sequence[Objective]) -> Figure:
    load = probes[0].load
    definition = CAPACITY_CONCURRENCY if load.arrivals == "closed" else CAPACITY_RATE
    labels = {
        "workload": probes[0].workload,
        "arrivals": load.arrivals,
        "cache": probes[0].cache,
        "slo": ",".join(one.label for one in objectives),
    }
    last = probes[-1]
    if (last.purpose, last.verdict) != ("confirm", "meets") and (held := _unconfirmed(probes)) is not None:
        said = f"a lower bound, not confirmed: the greatest load that met it; {_stopped(probes)}"
        return figure_of(
            definition, name, Estimate(size_of(held), None, len(probes), said), labels, least=1, headline=True
        )
    if (last.purpose, last.verdict) != ("confirm", "meets"):
        status: Status = "failed" if any(p.verdict == "misses" for p in probes) else "undefined"
        why = f"no load was confirmed to meet it; {_stopped(probes)}"
        return absent(definition, name, status, why, labels, n=len(probes), headline=True)
    value = size_of(last)
    above = [size_of(probe) for probe in probes if probe.verdict == "misses" and size_of(probe) > value]
    bound = next(_bound(probes), None)
    note = bound or (None if above else "no load was seen to miss it: it may be higher")
    interval = Interval(value, min(above)) if above else None
    return figure_of(definition, name, Estimate(value, interval, len(probes), note), labels, least=1, headline=True)


def _unconfirmed(probes: Sequence[ProbeRow]) -> ProbeRow | None:
    """The greatest load whose last probe met the SLO, below all that were seen to miss it. Probes in which the client
    could not keep up tell nothing about the server."""
    last = {size_of(probe): probe for probe in probes if probe.verdict != "client_bound"}
    least = min((size for size, probe in last.items() if probe.verdict == "misses"), default=inf)
    held = [size for size, probe in last.items() if probe.verdict == "meets" and size < least]
    return last[max(held)] if held else None


def _stopped(probes: Sequence[ProbeRow]) -> str:
    return next((p.reason for p in reversed(probes) if p.verdict in ("misses", "client_bound")), probes[-1].reason)


def _bound(probes: Sequence[ProbeRow]) -> Iterator[str]:
    """Why the client could not keep up, of loads at which it could not when they were probed again either."""
    for probe, again in zip(probes, [*probes[1:], None], strict=True):
        if probe.verdict == "client_bound" and (
            again is None or again.load != probe.load or again.verdict == "client_bound"
        ):
            yield probe.reason


def size_of(probe: ProbeRow) -> float:
    """The load as a number: requests a second, or requests inside."""
    return float(probe.load.concurrency or probe.load.rate_per_s or 0.0)
