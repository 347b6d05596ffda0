"""A/B: two candidates' runs, one number each, since requests of one start of an engine resemble each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from fourways.core.figure import Figure
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.requests import Setting
from fourways.figures.seeds import seed_for
from fourways.stats import Difference, holm, permutation_p, welch

if TYPE_CHECKING:
    from fourways.figures.load import Request

Runs = Literal["restarts", "blocks"]
SIGNIFICANT = 0.05
LEAST_RUNS = 4
"""Of 4 runs each the least exact p is 2 / 70; of 3 it is 2 / 20, which can never separate anything."""
_TESTED = (
    "Welch's t over run medians; separated where p < 0.05, Holm-adjusted over all loads, times and pairs of "
    "candidates; p: exact permutation of run medians; `sees`: the least difference found with 80 % power"
)


def _definition(time: str) -> Definition:
    formula = f"mean over runs of the median {time} of a run, of the candidate minus that of `versus`; failed as inf"
    return Definition(f"{time}_run_difference", "latency", "ms", "none", "runs", formula, _TESTED)


DIFFERENCES = {time: _definition(time) for time in ("ttft", "e2e", "tpot")}
DEFINITIONS = tuple(DIFFERENCES.values())


@dataclass(frozen=True, slots=True)
class _Pair:
    time: str
    first: str
    second: str
    setting: Setting
    medians: tuple[list[float], list[float]]
    runs: str

    @property
    def testable(self) -> bool:
        return min(map(len, self.medians)) >= LEAST_RUNS and all(np.isfinite(one).all() for one in self.medians)


def figures(found: Mapping[str, Mapping[Setting, Sequence[Request]]], runs: Mapping[str, Runs]) -> Iterator[Figure]:
    """For each two candidates, load and time: the difference, its interval and the verdict. Nothing where a candidate
    has a single run."""
    pairs = list(_pairs(found, runs))
    compared = [welch(*pair.medians) if pair.testable else None for pair in pairs]
    ps = [permutation_p(*pair.medians, seed_for(DIFFERENCES[pair.time].id)) for pair in pairs if pair.testable]
    adjusted = iter(zip(ps, holm(ps), strict=True))
    for pair, difference in zip(pairs, compared, strict=True):
        if difference is None:
            yield _untested(pair)
        else:
            yield _tested(pair, difference, *next(adjusted))


def _pairs(found: Mapping[str, Mapping[Setting, Sequence[Request]]], runs: Mapping[str, Runs]) -> Iterator[_Pair]:
    for first, second in combinations(found, 2):
        kinds = " and ".join(dict.fromkeys([runs[first], runs[second]]))
        for setting in found[first]:
            if setting not in found[second]:
                continue
            for time in DIFFERENCES:
                medians = tuple(_medians(found[one][setting], time, runs[one]) for one in (first, second))
                if min(map(len, medians)) >= 2:
                    yield _Pair(time, first, second, setting, (medians[0], medians[1]), kinds)


def _medians(requests: Sequence[Request], time: str, runs: Runs) -> list[float]:
    """One a run; a failed request counts as inf, one without that time not at all."""
    held: dict[int, list[float]] = defaultdict(list)
    for request in requests:
        value = getattr(request, f"{time}_ms")
        if request.failed or value is not None:
            held[request.restart if runs == "restarts" else request.block].append(
                float("inf") if request.failed else value
            )
    return [float(np.quantile(values, 0.5, method="inverted_cdf")) for values in held.values()]


def _labels(pair: _Pair) -> dict[str, str]:
    return {**pair.setting.labels, "versus": pair.second, "runs": pair.runs}


def _untested(pair: _Pair) -> Figure:
    n = min(map(len, pair.medians))
    if not all(np.isfinite(one).all() for one in pair.medians):
        reason = "more than half of a run's requests failed"
        return absent(DIFFERENCES[pair.time], pair.first, "failed", reason, _labels(pair), n=n)
    reason = f"not separated ({n} {pair.runs} each are too few to tell: {LEAST_RUNS} or more, better 5)"
    value = float(np.mean(pair.medians[0]) - np.mean(pair.medians[1]))
    found = Estimate(value, None, n, reason)
    return figure(DIFFERENCES[pair.time], pair.first, found, {**_labels(pair), "verdict": reason}, least=LEAST_RUNS)


def _tested(pair: _Pair, difference: Difference, p: float, adjusted: float) -> Figure:
    labels = {**_labels(pair), "verdict": _verdict(pair, difference, adjusted)}
    labels |= {"p": f"{p:.4f}", "p (Holm)": f"{adjusted:.4f}", "test": "exact permutation of run medians"}
    if difference.sees is not None:
        labels["sees"] = f"{difference.sees:.3g} ms"
    estimate = Estimate(difference.value, difference.interval, min(map(len, pair.medians)))
    return figure(DIFFERENCES[pair.time], pair.first, estimate, labels, least=LEAST_RUNS)


def _verdict(pair: _Pair, difference: Difference, p: float) -> str:
    if p < SIGNIFICANT:
        ahead, behind = (pair.first, pair.second) if difference.value < 0 else (pair.second, pair.first)
        return f"{ahead} is ahead of {behind}"
    if difference.sees is None:
        return "not separated (no run differed)"
    return f"not separated (this n sees differences of {difference.sees:.3g} ms or more)"
