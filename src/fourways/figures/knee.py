"""Where a sweep over loads bends: more load there brings more delay than answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fourways.core.figure import Figure
from fourways.core.load import Load
from fourways.figures.definition import Definition, Estimate, figure
from fourways.figures.due import Request, a_second
from fourways.figures.requests import Setting
from fourways.figures.seeds import seed_for
from fourways.stats import percentile_interval, t_interval

Floats = NDArray[np.float64]
_POWER = "answers a second / mean e2e of the requests that finished"
_FORMULA = (
    f"the {{}} of a sweep at which power, {_POWER}, is greatest (Kleinrock 1979, Power and deterministic rules of "
    "thumb for probabilistic problems in computer communications, ICC)"
)
_INTERVAL = "percentile bootstrap over the blocks of each load, 2,000 resamples; its ends are loads of the sweep"
KNEE_RATE = Definition("knee", "latency", "requests/s", "none", "loads", _FORMULA.format("rate"), _INTERVAL, version=2)
KNEE_CONCURRENCY = Definition(
    "knee_concurrency", "latency", "requests", "none", "loads", _FORMULA.format("concurrency"), _INTERVAL, version=2
)
POWER = Definition(
    "power", "latency", "requests/s²", "higher", "blocks", f"mean over blocks of {_POWER}", "Student's t over blocks",
    version=3,
)  # fmt: skip
DEFINITIONS = (KNEE_RATE, KNEE_CONCURRENCY, POWER)
LEAST_LOADS = 3
RESAMPLES = 2000


def figures(name: str, settings: Mapping[Setting, Sequence[Request]]) -> Iterator[Figure]:
    """Power at each load, and the knee, of each workload and kind of arrivals that was sent at three loads or more."""
    sweeps: dict[tuple[str, str, str], list[Setting]] = defaultdict(list)
    for setting in settings:
        if setting.load.arrivals in ("closed", "constant", "poisson"):
            sweeps[setting.workload, setting.load.arrivals, setting.cache].append(setting)
    for sweep in sweeps.values():
        powers = [_powers(setting.load, settings[setting]) for setting in sweep]
        if len(sweep) < LEAST_LOADS or not all(power.any() for power in powers):
            continue
        for setting, power in zip(sweep, powers, strict=True):
            found = Estimate(float(power.mean()), t_interval(power.tolist()), power.size)
            yield figure(POWER, name, found, setting.labels)
        yield _knee(name, sweep, powers)


def _knee(name: str, sweep: Sequence[Setting], powers: Sequence[Floats]) -> Figure:
    """powers: of each load, block by block."""
    first = sweep[0]
    labels = {"workload": first.workload, "arrivals": first.load.arrivals, "cache": first.cache}
    sizes = np.array([float(s.load.concurrency or s.load.rate_per_s or 0.0) for s in sweep])
    at = float(sizes[np.argmax([power.mean() for power in powers])])
    rng = np.random.default_rng(seed_for(POWER.id, *labels.values()))
    drawn = [power[rng.integers(0, power.size, (RESAMPLES, power.size))].mean(axis=1) for power in powers]
    interval = percentile_interval(sizes[np.argmax(drawn, axis=0)], min(power.size for power in powers))
    edge = {float(sizes.min()): "first", float(sizes.max()): "last"}.get(at)
    note = None if edge is None else f"it is the sweep's {edge} load: the knee may lie beyond"
    labels["loads"] = ", ".join(f"{size:g}" for size in sizes)
    definition = KNEE_CONCURRENCY if first.load.arrivals == "closed" else KNEE_RATE
    return figure(definition, name, Estimate(at, interval, len(sweep), note), labels)


def _powers(load: Load, requests: Sequence[Request]) -> Floats:
    """Of each block that has a rate; requests of one block wait for each other, so that blocks are what is independent.
    0 for one in which nothing finished."""
    found = []
    for number in dict.fromkeys(request.block for request in requests):
        block = [request for request in requests if request.block == number]
        finished = [not request.failed and request.e2e_ms is not None for request in block]
        seconds = [(r.e2e_ms or 0.0) / 1000 for r, ended in zip(block, finished, strict=True) if ended]
        found += [rate / float(np.mean(seconds)) if seconds else 0.0 for rate in a_second(load, block, finished)]
    return np.array(found)
