"""A/B: two candidates' runs, one number each, since requests of one start of an engine resemble each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from fourways.core.figure import Figure
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.due import Request
from fourways.figures.requests import Setting
from fourways.figures.seeds import seed_for
from fourways.stats import least_p, permutation_ps, welch

Runs = Literal["restarts", "blocks"]
SIGNIFICANT = 0.05
LEAST_RUNS = 4
"""Of 4 runs each the least exact p is 2 / 70; of 3 it is 2 / 20, which can never separate anything."""
_TESTED = (
    "Welch's t over run medians, of this comparison alone; separated where p < 0.05; p: exact permutation of runs, "
    "adjusted over all loads and times of two candidates by the greatest of their differences (Westfall & Young's "
    "maxT), and by Bonferroni over the pairs of candidates; `sees`: the least difference that Welch's t finds with "
    "80 % power at 5 % / comparisons"
)


def _definition(time: str) -> Definition:
    formula = f"mean over runs of the median {time} of a run, of the candidate minus that of `versus`; failed as inf"
    return Definition(f"{time}_run_difference", "latency", "ms", "none", "runs", formula, _TESTED, version=2)


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
    def family(self) -> tuple[str, str, int, int]:
        """What is tested at once: two candidates' runs, each of which has all of these loads and times."""
        return self.first, self.second, len(self.medians[0]), len(self.medians[1])

    @property
    def testable(self) -> bool:
        return min(map(len, self.medians)) >= LEAST_RUNS and all(np.isfinite(one).all() for one in self.medians)


class _Test(NamedTuple):
    """p: adjusted; least: that it could have been. comparisons: that it is adjusted for."""

    p: float
    least: float
    comparisons: int


def figures(found: Mapping[str, Mapping[Setting, Sequence[Request]]], runs: Mapping[str, Runs]) -> Iterator[Figure]:
    """For each two candidates, load and time: the difference, its interval and the verdict. Nothing where a candidate
    has a single run."""
    pairs = list(_pairs(found, runs))
    families: dict[tuple[str, str, int, int], list[_Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.testable:
            families[pair.family].append(pair)
    tests: dict[int, _Test] = {}
    for (_, _, *sizes), members in families.items():
        columns = [np.array([pair.medians[side] for pair in members]).T for side in (0, 1)]
        ps = permutation_ps(columns[0], columns[1], seed_for(DIFFERENCES[members[0].time].id))
        for pair, p in zip(members, ps, strict=True):
            least = len(families) * least_p(*sizes)
            tests[id(pair)] = _Test(min(1.0, len(families) * p), least, len(families) * len(members))
    for pair in pairs:
        test = tests.get(id(pair))
        yield _untested(pair) if test is None else _tested(pair, test)


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
    return [run_median(values) for values in held.values()]


def run_median(values: Sequence[float]) -> float:
    """The one number of a run: the least observed time that at least half of its requests do not exceed."""
    return float(np.quantile(values, 0.5, method="inverted_cdf"))


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


def _tested(pair: _Pair, test: _Test) -> Figure:
    difference = welch(*pair.medians)
    sees = welch(*pair.medians, level=1 - SIGNIFICANT / test.comparisons).sees
    labels = {**_labels(pair), "verdict": _verdict(pair, difference.value, sees, test)}
    labels |= {"p": f"{test.p:.4f}", "test": f"exact permutation of run medians, over {test.comparisons} comparisons"}
    if sees is not None and test.least < SIGNIFICANT:
        labels["sees"] = f"{sees:.3g} ms"
    estimate = Estimate(difference.value, difference.interval, min(map(len, pair.medians)))
    return figure(DIFFERENCES[pair.time], pair.first, estimate, labels, least=LEAST_RUNS)


def _verdict(pair: _Pair, value: float, sees: float | None, test: _Test) -> str:
    if test.p < SIGNIFICANT:
        ahead, behind = (pair.first, pair.second) if value < 0 else (pair.second, pair.first)
        return f"{ahead} is ahead of {behind}"
    if test.least >= SIGNIFICANT:
        n = min(map(len, pair.medians))
        return f"not separated ({n} {pair.runs} each are too few to tell so many candidates apart)"
    if sees is None:
        return "not separated (no run differed)"
    among = f", among {test.comparisons} comparisons" if test.comparisons > 1 else ""
    return f"not separated (this n sees differences of {sees:.3g} ms or more{among})"
