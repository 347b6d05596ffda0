"""Where a sweep over loads bends: more load there brings more delay than answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fourways.core.figure import Figure
from fourways.figures.definition import Definition, Estimate, figure
from fourways.figures.requests import Setting
from fourways.figures.seeds import seed_for
from fourways.stats import percentile_interval

if TYPE_CHECKING:
    from fourways.figures.load import Request

Floats = NDArray[np.float64]
_FORMULA = (
    "the {} of a sweep at which power, answers a second / mean e2e of the requests that finished, is greatest "
    "(Kleinrock 1979, Power and deterministic rules of thumb for probabilistic problems in computer communications, "
    "ICC)"
)
_INTERVAL = "percentile bootstrap over requests of each load, 2,000 resamples; its ends are loads of the sweep"
KNEE_RATE = Definition("knee", "latency", "requests/s", "none", "loads", _FORMULA.format("rate"), _INTERVAL)
KNEE_CONCURRENCY = Definition(
    "knee_concurrency", "latency", "requests", "none", "loads", _FORMULA.format("concurrency"), _INTERVAL
)
POWER = Definition(
    "power", "latency", "requests/s²", "higher", "requests",
    "answers a second / mean e2e of the requests that finished", "percentile bootstrap over requests, 2,000 resamples",
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
        powers = [_powers(settings[setting], setting) for setting in sweep]
        if len(sweep) < LEAST_LOADS or not all(drawn.size for drawn in powers):
            continue
        for setting, drawn in zip(sweep, powers, strict=True):
            n = len(settings[setting])
            found = Estimate(float(drawn[0]), percentile_interval(drawn[1:], n), n)
            yield figure(POWER, name, found, setting.labels)
        yield _knee(name, sweep, np.stack(powers), min(len(settings[setting]) for setting in sweep))


def _knee(name: str, sweep: Sequence[Setting], powers: Floats, requests: int) -> Figure:
    """powers: (loads, 1 + resamples), the observed ones first. requests: of the load that has the fewest."""
    sizes = np.array([float(s.load.concurrency or s.load.rate_per_s or 0.0) for s in sweep])
    at = sizes[powers.argmax(axis=0)]
    first = sweep[0]
    definition = KNEE_CONCURRENCY if first.load.arrivals == "closed" else KNEE_RATE
    edge = {float(sizes.min()): "first", float(sizes.max()): "last"}.get(float(at[0]))
    note = None if edge is None else f"it is the sweep's {edge} load: the knee may lie beyond"
    labels = {"workload": first.workload, "arrivals": first.load.arrivals, "cache": first.cache}
    labels["loads"] = ", ".join(f"{size:g}" for size in sizes)
    return figure(
        definition, name, Estimate(float(at[0]), percentile_interval(at[1:], requests), len(sweep), note), labels
    )


def _powers(requests: Sequence[Request], setting: Setting) -> Floats:
    """(1 + resamples,): observed, then resampled. A resample redraws the e2e of requests and, block by block, the
    answers a second; empty where nothing finished."""
    e2e = np.array([r.e2e_ms for r in requests if not r.failed and r.e2e_ms is not None]) / 1000
    if e2e.size == 0:
        return np.zeros(0)
    rates = _rates(requests)
    rng = np.random.default_rng(seed_for(POWER.id, *setting.labels.values()))
    drawn = np.array([e2e[rng.integers(0, e2e.size, e2e.size)].mean() for _ in range(RESAMPLES)])
    blocks = rates[rng.integers(0, rates.size, (RESAMPLES, rates.size))].mean(axis=1)
    return np.concatenate([[rates.mean() / e2e.mean()], blocks / drawn])


def _rates(requests: Sequence[Request]) -> Floats:
    """Answers a second of each block."""
    spans: dict[int, list[float]] = defaultdict(list)
    counts: dict[int, int] = defaultdict(int)
    for request in requests:
        spans[request.block].append(request.due_ms)
        if not request.failed and request.e2e_ms is not None:
            spans[request.block].append(request.due_ms + request.e2e_ms)
            counts[request.block] += 1
    lengths = {block: (max(span) - min(span)) / 1000 for block, span in spans.items()}
    return np.array([counts[block] / length if length > 0 else 0.0 for block, length in lengths.items()])
