"""Is the engine as fast as it was? On a machine that others use too, where medians double and nothing has changed.

A time of a request is the engine's work and the waiting for the machine. Two numbers of each load tell them apart. The
*median* holds both. The *undisturbed* time, the fastest twentieth (of all decode steps; of all first tokens), holds
almost only the work: on a machine that was so busy that medians grew threefold, it grew by a fifth. And the ceilings
(copies of memory, products of matrices) that every run measures say how fast the machine itself was.

- not reproduced: in every start an undisturbed time differs the same way, and in the one nearest to the old run by more
  than the product of 5 %, what the ceilings differ (the best of all starts), and `STANDARD_ERRORS` of its spread
  between starts, which is taken as at least what unchanged runs were seen to have (`SPREADS`). A first token, and a
  step of several requests among prefills of others, take so long that on a busy machine even the fastest are held up:
  they are judged only where steps were hardly held up (`CALM`), and by how much those were in one run more than in the
  other counts as explained.
- reproduced: the interval of the ratio of medians lies within 5 % at every load, for first tokens and whole answers.
- not comparable: all else. The machine's own spread is too large to say, and its ratios are printed.

What it cannot see: an engine that only stalls now and then, its fastest steps as fast as ever, looks like a busy
machine. docs/reproduce.md has the measurements behind the constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log, sqrt
from statistics import mean, median, stdev

from fourways.core.verdict import AxisVerdict, Verdict
from fourways.evidence.comparison.conditions import apart
from fourways.evidence.comparison.facts import Both, Facts
from fourways.evidence.comparison.findings import Finding, of_a_loss, together
from fourways.evidence.comparison.starts import Start, Undisturbed, best_of, counts_tokens, start_of
from fourways.figures.requests import Setting
from fourways.stats import Interval, against_one

REGION = 1.05
"""Ratios within 1 / REGION to REGION are the same speed."""
STANDARD_ERRORS = 4.0
SPREADS: Mapping[tuple[Undisturbed, bool], float] = {
    ("step", True): 0.03,
    ("step", False): 0.06,
    ("first token", True): 0.08,
}
"""(undisturbed time, one request at a time) → the spread of its logarithm between unchanged runs on a shared machine
beyond what the ceilings showed. First tokens of requests that wait for each other are left out: they differ more than
any engine would."""
CALM = 1.5
"""A machine is calm where the mean step takes no longer than so many undisturbed ones."""
UNSEEN = 4.0
"""Of an engine on a machine whose ceilings nobody measured (a server by URL), the spread is taken as so many times as
large."""


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
    if reasons := [*apart(both), *_strangers(both, further)]:
        return together(name, "latency", [Finding("not comparable", reason) for reason in reasons])
    gaps = counts_tokens(both)
    old = start_of(both.old_run, both.old_name, gaps=gaps)
    starts = [start_of(run, name, gaps=gaps) for run in (both.new_run, *further)]
    if not old.medians.keys() & starts[0].medians.keys():
        return together(name, "latency", [Finding("not comparable", "no load was measured in both runs")])
    return together(name, "latency", [*_findings(old, starts)])


def _strangers(both: Both, further: Sequence[Facts]) -> Iterator[str]:
    """Why what is given as a further start is none."""
    for run in further:
        if both.new_name not in run.names:
            yield f"{run.name} has no candidate {both.new_name}"
            continue
        start = replace(both, new_run=run)
        yield from (f"{run.name}: {reason}" for reason in apart(start))
        if both.new_run.record(both.new_name).sha256 != run.record(both.new_name).sha256:
            yield f"{run.name}: another checkpoint than {both.new_run.name} has"


def _findings(old: Start, starts: Sequence[Start]) -> Iterator[Finding]:
    yield from _lost_loads(old, starts)
    machine = best_of(starts).slower(old)
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


def _lost_loads(old: Start, starts: Sequence[Start]) -> Iterator[Finding]:
    """A load that the old run answered, and of which most requests failed in some start, or were never sent."""
    for setting in dict.fromkeys(setting for (setting, _), value in old.medians.items() if isfinite(value)):
        lost = sum(not isfinite(start.medians.get((setting, "e2e"), inf)) for start in starts)
        if lost:
            verdict: Verdict = "not reproduced" if lost == len(starts) else "not comparable"
            sent = any((setting, "e2e") in start.medians for start in starts)
            what = "more than half of the requests failed" if sent else "no request was answered"
            said = f"{what} {_place(setting)} in {lost} of {len(starts)} starts"
            yield Finding(verdict, said)


def _effects(old: Start, starts: Sequence[Start], machine: float | None) -> Iterator[_Effect]:
    """machine: by what factor it is slower than in the old run; None where nobody knows."""
    for key, before in old.undisturbed.items():
        setting, what = key
        least = SPREADS.get((what, setting.load.concurrency == 1))
        held = [start for start in starts if key in start.undisturbed]
        if (what, setting.load.concurrency) != ("step", 1):
            held = [start for start in held if max(start.held_up_at(setting), old.held_up_at(setting)) <= CALM]
        if least is None or not held:
            continue
        nearest = min(held, key=lambda start: abs(log(start.undisturbed[key] / before)))
        ratio = nearest.undisturbed[key] / before
        spread = max(least * (1.0 if machine is not None else UNSEEN), _spread(held, key))
        logs = [log(start.undisturbed[key] / before) for start in held]
        explained = _explained(ratio, machine)
        if (what, setting.load.concurrency) != ("step", 1):
            explained *= _explained(ratio, nearest.held_up_at(setting) / old.held_up_at(setting))
        allowed = REGION * explained * exp(STANDARD_ERRORS * sqrt(2) * spread)
        yield _Effect(setting, what, ratio, allowed, max(logs) < 0 or min(logs) > 0)


def _spread(starts: Sequence[Start], key: tuple[Setting, Undisturbed]) -> float:
    """The standard deviation of a time's logarithm between starts, without what the machine of each explains: a start
    in the middle of somebody else's work says nothing of the others. 0 for a single start."""
    if len(starts) < 2:
        return 0.0
    fastest, best = min(start.undisturbed[key] for start in starts), best_of(starts)
    left = []
    for start in starts:
        longer, slower = log(start.undisturbed[key] / fastest), log(max(1.0, start.slower(best) or 1.0))
        left.append(max(0.0, longer - slower))
    return stdev(left)


def _explained(ratio: float, cause: float | None) -> float:
    """How much of a ratio, either way, something that went the same way explains; at least 1: nothing."""
    return 1.0 if cause is None else max(1.0, cause if ratio > 1 else 1 / cause)


def _ratios(old: Start, starts: Sequence[Start]) -> Iterator[_Ratio]:
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
