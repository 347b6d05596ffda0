"""Is the engine as fast as it was? On a machine that others use too, where medians double and nothing has changed.

A time of a request is the engine's work and the waiting for the machine. Two numbers of each load tell them apart. The
*median* holds both. The *undisturbed* time, the fastest twentieth (of all decode steps; of all first tokens), holds
almost only the work: on a machine that was so busy that medians grew threefold, it grew by a fifth. And the ceilings
(copies of memory, products of matrices) that every run measures say how fast the machine itself was.

- not reproduced: in every start an undisturbed time differs the same way, and in the one nearest to the old run by more
  than the product of 5 %, what the ceilings differ (the best of all starts), and `STANDARD_ERRORS` of its spread
  between starts, which is taken as at least what unchanged runs were seen to have (`SPREADS`). A step of eight requests
  takes so long that on a busy machine even the fastest are held up: there, what steps are held up on average counts
  too. A first token takes longer still, and is judged only where steps were hardly held up (`CALM`).
- reproduced: the interval of the ratio of medians lies within 5 % at every load, for first tokens and whole answers.
- not comparable: all else. The machine's own spread is too large to say, and its ratios are printed.

What it cannot see: an engine that only stalls now and then, its fastest steps as fast as ever, looks like a busy
machine. docs/reproduce.md has the measurements behind the constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt
from statistics import mean, median, stdev
from typing import Literal

import numpy as np

from fourways.core.rows import CeilingRow, RequestRow
from fourways.core.verdict import AxisVerdict
from fourways.evidence.comparison.conditions import apart
from fourways.evidence.comparison.facts import Both, Facts
from fourways.evidence.comparison.findings import Finding, of_a_loss, together
from fourways.figures.requests import Setting
from fourways.figures.restarts import run_median
from fourways.stats import Interval, against_one

REGION = 1.05
"""Ratios within 1 / REGION to REGION are the same speed."""
FASTEST = 0.05
"""The share of decode steps, or of first tokens, that is taken as undisturbed."""
STANDARD_ERRORS = 4.0
Undisturbed = Literal["step", "first token"]
SPREADS: Mapping[tuple[Undisturbed, bool], float] = {
    ("step", True): 0.03,
    ("step", False): 0.12,
    ("first token", True): 0.08,
}
"""(undisturbed time, one request at a time) → the spread of its logarithm between unchanged runs on a shared machine
beyond what the ceilings showed. First tokens of requests that wait for each other are left out: they differ more than
any engine would."""
CALM = 1.3
"""A machine is calm where the mean step takes no longer than so many undisturbed ones."""
UNSEEN = 4.0
"""Of an engine on a machine whose ceilings nobody measured (a server by URL), the spread is taken as so many times as
large."""
MEDIANS = ("ttft", "e2e")
_Ceiling = tuple[str, str, int, str, int]
"""Device, dtype, threads, quantity, size."""


@dataclass(frozen=True, slots=True)
class _Start:
    """One fresh start of the engine: times by setting, in ms (inf: most requests failed); held_up: by what factor its
    mean step is longer than an undisturbed one; and the machine's best rates."""

    medians: Mapping[tuple[Setting, str], float]
    undisturbed: Mapping[tuple[Setting, Undisturbed], float]
    held_up: Mapping[Setting, float]
    ceilings: Mapping[_Ceiling, float]

    def held_up_at(self, setting: Setting) -> float:
        return self.held_up.get(setting, 1.0)

    def slower(self, than: _Start) -> float | None:
        """By what factor the machine itself is slower than in another start; None where it was not measured."""
        shared = [key for key in self.ceilings if key in than.ceilings]
        if not shared:
            return None
        return exp(mean(log(than.ceilings[key] / self.ceilings[key]) for key in shared))


@dataclass(frozen=True, slots=True)
class _Ratio:
    """New / old of one median. interval: of the ratio; None with a single start. own: greatest / least among the new
    starts, which is what this machine does to a time that nobody changed."""

    setting: Setting
    time: str
    value: float
    interval: Interval | None
    own: float

    @property
    def same(self) -> bool:
        return self.interval is not None and self.interval.low >= 1 / REGION and self.interval.high <= REGION

    @property
    def words(self) -> str:
        between = "" if self.interval is None else f" [{self.interval.low:.2f} to {self.interval.high:.2f}]"
        return f"{self.time} {_place(self.setting)} ×{self.value:.2f}{between}"


@dataclass(frozen=True, slots=True)
class _Effect:
    """An undisturbed time of the start that is nearest to the old run's. least: the ratio, either way, beyond which it
    is no chance and not the machine. one_way: all starts lie on the same side of the old run."""

    setting: Setting
    what: Undisturbed
    ratio: float
    least: float
    one_way: bool

    @property
    def seen(self) -> bool:
        return self.one_way and max(self.ratio, 1 / self.ratio) > self.least

    @property
    def words(self) -> str:
        of = "the fastest twentieth of decode steps" if self.what == "step" else "the fastest twentieth of first tokens"
        return f"{of}, {_place(self.setting)}: ×{self.ratio:.2f} (differences of ×{self.least:.2f} or more are seen)"


def latency(both: Both, further: Sequence[Facts] = ()) -> AxisVerdict:
    """further: runs of the same candidates, fresh starts beside the new run's own."""
    name = both.new_name
    if (lost := of_a_loss(both, "latency")) is not None:
        return together(name, "latency", [lost])
    if reasons := apart(both):
        return together(name, "latency", [Finding("not comparable", reason) for reason in reasons])
    gaps = _counts_tokens(both)
    old = _start(both.old_run, both.old_name, gaps)
    starts = [_start(run, name, gaps) for run in (both.new_run, *further) if run.candidate(name).requests]
    if not starts or not old.medians.keys() & starts[0].medians.keys():
        return together(name, "latency", [Finding("not comparable", "no load was measured in both runs")])
    return together(name, "latency", [*_findings(old, starts)])


def _findings(old: _Start, starts: Sequence[_Start]) -> Iterator[Finding]:
    machine = _best(starts).slower(old)
    effects, ratios = list(_effects(old, starts, machine)), list(_ratios(old, starts))
    statistics = _statistics(effects, ratios, machine, len(starts))
    if seen := [one for one in effects if one.seen]:
        for one in sorted(seen, key=lambda one: -abs(log(one.ratio)))[:3]:
            yield Finding("not reproduced", one.words, statistics)
        yield Finding("not reproduced", _machine(machine))
    elif ratios and all(one.same for one in ratios):
        widest = max(ratios, key=lambda one: abs(log(one.value)))
        said = f"all {len(ratios)} medians lie within 5 % over {len(starts)} fresh starts; the farthest: {widest.words}"
        yield Finding("reproduced", said, statistics)
    else:
        yield Finding("not comparable", _unsteady(ratios, len(starts)), statistics)
        farthest = max(effects, key=lambda one: abs(log(one.ratio)) / log(one.least), default=None)
        if farthest is not None:
            said = f"no undisturbed time is seen to differ; nearest to it: {farthest.words}"
            yield Finding("not comparable", said)
        yield Finding("not comparable", _machine(machine))


def _start(run: Facts, candidate: str, gaps: bool) -> _Start:
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
            if known := [value for value in values if value is not None]:
                medians[setting, time] = run_median(known)
        good = [row for row in rows if row.error is None]
        if firsts := [row.ttft_ms for row in good if row.ttft_ms is not None]:
            undisturbed[setting, "first token"] = _fastest(firsts)
        steps = _steps(good, gaps)
        if steps and (fastest := _fastest(steps)) > 0:
            undisturbed[setting, "step"] = fastest
            held_up[setting] = mean(steps) / fastest
    return _Start(medians, undisturbed, held_up, _ceilings(run, measured.ceilings))


def _counts_tokens(both: Both) -> bool:
    """Whether a gap between chunks is one decode step: in this process it is; a server may send several at once."""
    return all(record.engine is not None and record.engine.engine == "local" for record in both.records)


def _steps(rows: Sequence[RequestRow], gaps: bool) -> list[float]:
    if gaps:
        return [gap for row in rows for gap in row.chunk_gaps_ms]
    return [row.tpot_ms for row in rows if row.tpot_ms is not None]


def _fastest(values: Sequence[float]) -> float:
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


def _best(starts: Sequence[_Start]) -> _Start:
    """The machine as all starts together saw it: what it could do in one of them, it could do."""
    found: dict[_Ceiling, float] = {}
    for start in starts:
        for key, rate in start.ceilings.items():
            found[key] = max(found.get(key, 0.0), rate)
    return _Start({}, {}, {}, found)


def _effects(old: _Start, starts: Sequence[_Start], machine: float | None) -> Iterator[_Effect]:
    """machine: by what factor it is slower than in the old run; None where nobody knows."""
    for key, before in old.undisturbed.items():
        setting, what = key
        least = SPREADS.get((what, setting.load.concurrency == 1))
        held = [start for start in starts if key in start.undisturbed]
        if what == "first token":
            held = [start for start in held if max(start.held_up_at(setting), old.held_up_at(setting)) <= CALM]
        if least is None or not held:
            continue
        nearest = min(held, key=lambda start: abs(log(start.undisturbed[key] / before)))
        ratio = nearest.undisturbed[key] / before
        spread = least * (1.0 if machine is not None else UNSEEN)
        logs = [log(start.undisturbed[key] / before) for start in held]
        if len(logs) > 1:
            spread = max(spread, stdev(logs))
        explained = _explained(ratio, machine)
        if (what, setting.load.concurrency) != ("step", 1):
            explained *= _explained(ratio, nearest.held_up_at(setting) / old.held_up_at(setting))
        allowed = REGION * explained * exp(STANDARD_ERRORS * sqrt(2) * spread)
        yield _Effect(setting, what, ratio, allowed, max(logs) < 0 or min(logs) > 0)


def _explained(ratio: float, cause: float | None) -> float:
    """How much of a ratio, either way, something that went the same way explains; at least 1: nothing."""
    return 1.0 if cause is None else max(1.0, cause if ratio > 1 else 1 / cause)


def _ratios(old: _Start, starts: Sequence[_Start]) -> Iterator[_Ratio]:
    for key, before in old.medians.items():
        values = [start.medians[key] for start in starts if key in start.medians]
        if not values or not isfinite(before) or not all(map(isfinite, values)):
            continue
        logs = [log(value / before) for value in values]
        found = against_one(0.0, logs)
        interval = None if found is None else Interval(exp(found.low), exp(found.high))
        yield _Ratio(*key, exp(mean(logs)), interval, max(values) / min(values))


def _unsteady(ratios: Sequence[_Ratio], starts: int) -> str:
    if not ratios:
        return "more than half of the requests failed at every load"
    farthest = max(ratios, key=lambda one: abs(log(one.value)))
    if starts < 2:
        return f"one fresh start cannot show how far this machine's times differ from start to start; {farthest.words}"
    own = max(ratios, key=lambda one: one.own)
    where = f"{own.time} {_place(own.setting)}, {starts} fresh starts"
    said = f"this machine's own A/A ratio reaches {own.own:.2f} ({where})"
    return f"{said}: too much to place a median within 5 %; the farthest: {farthest.words}"


def _machine(slower: float | None) -> str:
    if slower is None:
        return "how fast the machine itself was is not known: no access to it"
    return f"the machine's best rates of copying and multiplying are ×{1 / slower:.2f} of those of the old run"


def _statistics(
    effects: Sequence[_Effect], ratios: Sequence[_Ratio], machine: float | None, starts: int
) -> dict[str, float]:
    found: dict[str, float] = {"starts": float(starts)}
    for ratio in ratios:
        name = f"{ratio.time}.{_word(ratio.setting)}"
        found[f"{name}.ratio"] = ratio.value
        if ratio.interval is not None:
            found |= {f"{name}.ratio.low": ratio.interval.low, f"{name}.ratio.high": ratio.interval.high}
    for effect in effects:
        name = f"undisturbed {effect.what}.{_word(effect.setting)}"
        found |= {f"{name}.ratio": effect.ratio, f"{name}.seen_from": effect.least}
    if ratios:
        found["own_ratio"] = max(one.own for one in ratios)
        found["median_of_medians.ratio"] = median(one.value for one in ratios)
    if machine is not None:
        found["machine.slower"] = machine
    return found


def _place(setting: Setting) -> str:
    return f"at {setting.load.label}, {setting.cache}"


def _word(setting: Setting) -> str:
    return f"{setting.workload}.{setting.load.label}.{setting.cache}"
