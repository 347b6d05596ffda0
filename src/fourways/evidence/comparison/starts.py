"""One fresh start of the engine: its medians, its undisturbed times, and the best rates of the machine meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from statistics import mean
from typing import Literal

import numpy as np

from fourways.core.rows import CeilingRow, RequestRow
from fourways.evidence.comparison.facts import Both, Facts
from fourways.figures.requests import Setting
from fourways.figures.restarts import run_median

FASTEST = 0.05
"""The share of decode steps, or of first tokens, that is taken as undisturbed."""
LEAST_VALUES = 20
"""Of fewer there is no twentieth."""
MEDIANS = ("ttft", "e2e")
Undisturbed = Literal["step", "first token"]
_Ceiling = tuple[str, str, int, str, int]
"""Device, dtype, threads, quantity, size."""


@dataclass(frozen=True, slots=True)
class Start:
    """One fresh start of the engine: times by setting, in ms (inf: most requests failed); held_up: by what factor its
    mean step is longer than an undisturbed one; and the machine's best rates."""

    medians: Mapping[tuple[Setting, str], float]
    undisturbed: Mapping[tuple[Setting, Undisturbed], float]
    held_up: Mapping[Setting, float]
    ceilings: Mapping[_Ceiling, float]

    def held_up_at(self, setting: Setting) -> float:
        return self.held_up.get(setting, 1.0)

    def slower(self, than: Start) -> float | None:
        """By what factor the machine itself is slower than in another start; None where it was not measured."""
        shared = [key for key in self.ceilings if key in than.ceilings]
        if not shared:
            return None
        return exp(mean(log(than.ceilings[key] / self.ceilings[key]) for key in shared))


def start_of(run: Facts, candidate: str, *, gaps: bool) -> Start:
    """gaps: whether a gap between two chunks is one decode step."""
    measured = run.candidate(candidate)
    by_setting: dict[Setting, list[RequestRow]] = {}
    for row in measured.requests:
        by_setting.setdefault(Setting(row.workload, row.load, row.cache), []).append(row)
    medians: dict[tuple[Setting, str], float] = {}
    undisturbed: dict[tuple[Setting, Undisturbed], float] = {}
    held_up: dict[Setting, float] = {}
    for setting, rows in by_setting.items():
        for time in MEDIANS:
            values = [inf if row.error is not None else getattr(row, f"{time}_ms") for row in rows]
            if (known := [value for value in values if value is not None]) and (middle := run_median(known)) > 0:
                medians[setting, time] = middle
        good = [row for row in rows if row.error is None]
        firsts = [row.ttft_ms for row in good if row.ttft_ms is not None]
        if (fastest := _fastest(firsts)) > 0:
            undisturbed[setting, "first token"] = fastest
        steps = _steps(good, gaps)
        if (fastest := _fastest(steps)) > 0:
            undisturbed[setting, "step"] = fastest
            held_up[setting] = mean(steps) / fastest
    return Start(medians, undisturbed, held_up, _ceilings(run, measured.ceilings))


def counts_tokens(both: Both) -> bool:
    """Whether a gap between chunks is one decode step: in this process it is; a server may send several at once."""
    return all(record.engine is not None and record.engine.engine == "local" for record in both.records)


def _steps(rows: Sequence[RequestRow], gaps: bool) -> list[float]:
    if gaps:
        return [gap for row in rows for gap in row.chunk_gaps_ms]
    return [row.tpot_ms for row in rows if row.tpot_ms is not None]


def _fastest(values: Sequence[float]) -> float:
    """0 where there are too few."""
    if len(values) < LEAST_VALUES:
        return 0.0
    return float(np.quantile(values, FASTEST, method="inverted_cdf"))


def _ceilings(run: Facts, own: Sequence[CeilingRow]) -> dict[_Ceiling, float]:
    """The best rates of the machine in that run, whichever candidate they were measured beside, on the device and
    under the threads of this one."""
    ways = {(row.device, row.dtype, row.threads) for row in own}
    best: dict[_Ceiling, float] = {}
    for row in (row for measured in run.measured.values() for row in measured.ceilings):
        if row.value > 0 and (row.device, row.dtype, row.threads) in ways:
            key = (row.device, row.dtype, row.threads, row.quantity, row.size)
            best[key] = max(best.get(key, 0.0), row.value)
    return best


def best_of(starts: Sequence[Start]) -> Start:
    """The machine as all starts together saw it: what it could do in one of them, it could do."""
    found: dict[_Ceiling, float] = {}
    for start in starts:
        for key, rate in start.ceilings.items():
            found[key] = max(found.get(key, 0.0), rate)
    return Start({}, {}, {}, found)
