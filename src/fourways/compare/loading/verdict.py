"""One probe of the search: does this load meet the SLO?

The decision rule. Requests count in the order in which they were due, from the first up to the last before one that is
still inside, so that none is left out for being slow. The first fifth fills the server and is not judged. A probe is
looked at up to five times, after n, 2n, 4n, … requests, each look at 99 % (Bonferroni): of independent requests a
probe would be wrongly called "meets", or "misses", with a probability of at most 2.5 % for each objective. Those of a
queue are dependent beyond what batches show, and within 2 % of the truth up to 9 % of simulated probes erred. n is the
least at which "meets" can be seen at all (130 for p95, 660 for p99).

misses: delay grows (the server is sent more than it answers, whatever the delay is by now), or the share that misses an
objective is above what it allows. meets: every share is at or below, and delay is steady: its growth is surely below
2 %, or, at the last look, it was not seen to grow and the estimate is below that. Else undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from fourways.core.objective import Objective
from fourways.core.rows import ProbeVerdict, RequestRow
from fourways.stats import Growth, Interval, growth, least_to_keep, share_in_order

LOOKS = 5
LEVEL = 1 - 0.05 / LOOKS
STEADY = 0.02
"""Delay that grows by less than so many seconds a second is called steady: the server then answers at least 98 % of
what it is sent."""
_GROWS = 0.005
_FILLING = 0.2


@dataclass(frozen=True, slots=True)
class Judgement:
    """As in `ProbeRow`. overfull: it misses because delay grows."""

    verdict: ProbeVerdict
    reason: str
    judged: int
    served_per_s: float | None = None
    growth: float | None = None
    overfull: bool = False


def least_requests(objectives: Sequence[Objective]) -> int:
    """The requests of a probe's first look: the fewest after which every objective can be called met."""
    return ceil(max(least_to_keep(one.allowed, LEVEL) for one in objectives) / (1 - _FILLING))


def in_order(finished: Mapping[int, RequestRow]) -> list[RequestRow]:
    """Index among the probe's requests → row: those before the first that is still inside."""
    rows: list[RequestRow] = []
    while (row := finished.get(len(rows))) is not None:
        rows.append(row)
    return rows


def judge(rows: Sequence[RequestRow], objectives: Sequence[Objective]) -> Judgement:
    """A look that more requests can follow. rows: as `in_order` gives them."""
    return _judged(rows, objectives, lambda grown: grown.interval.high < STEADY)


def judge_last(rows: Sequence[RequestRow], objectives: Sequence[Objective]) -> Judgement:
    """The look after which there are no more requests."""
    return _judged(rows, objectives, lambda grown: grown.slope < STEADY)


def _judged(
    rows: Sequence[RequestRow], objectives: Sequence[Objective], is_steady: Callable[[Growth], bool]
) -> Judgement:
    steady = rows[int(len(rows) * _FILLING) :]
    if not steady:
        return Judgement("undecided", "no request ended", 0)
    served = _served_per_s(steady)
    grown = _growth(steady) if steady[0].arrivals != "closed" else None
    slope = None if grown is None else grown.slope

    overfull = grown is not None and grown.interval.low > 0 and grown.slope > _GROWS

    def said(verdict: ProbeVerdict, reason: str) -> Judgement:
        return Judgement(verdict, reason, len(steady), served, slope, overfull)

    if overfull and slope is not None:
        return said("misses", f"delay grows by {1000 * slope:.0f} ms a second: more is sent than is answered")
    shares = [(one, _missed(steady, one)) for one in objectives]
    for one, share in shares:
        if share.low > one.allowed:
            return said("misses", f"{one.label}: {_percent(share)} miss it, {100 * one.allowed:g} % may")
    open_ones = [f"{one.label}: {_percent(share)} miss it" for one, share in shares if share.high > one.allowed]
    if steady[0].arrivals != "closed" and (grown is None or not is_steady(grown)):
        open_ones.append("whether delay grows cannot be told yet")
    if open_ones:
        return said("undecided", "; ".join(open_ones))
    return said("meets", "; ".join(f"{one.label}: {_percent(share)} miss it" for one, share in shares))


def _missed(rows: Sequence[RequestRow], objective: Objective) -> Interval:
    flags = [objective.missed(row.ttft_ms, row.e2e_ms, row.tpot_ms, row.error is not None) for row in rows]
    near = [objective.nearly_missed(row.ttft_ms, row.e2e_ms, row.tpot_ms, row.error is not None) for row in rows]
    return share_in_order(flags, near, LEVEL) or Interval(0.0, 1.0)


def _growth(rows: Sequence[RequestRow]) -> Growth | None:
    """Of the time to the first text: what a queue lengthens first, and what the length of an answer does not touch."""
    known = [(row.scheduled_ms / 1000, row.ttft_ms / 1000) for row in rows if row.ttft_ms is not None]
    return growth([when for when, _ in known], [value for _, value in known], LEVEL)


def _served_per_s(rows: Sequence[RequestRow]) -> float | None:
    ends = [row.scheduled_ms + row.e2e_ms for row in rows if row.e2e_ms is not None]
    seconds = (max(ends) - min(ends)) / 1000 if ends else 0.0
    return (len(ends) - 1) / seconds if seconds > 0 else None


def _percent(share: Interval) -> str:
    return f"{100 * share.low:.1f} to {100 * share.high:.1f} %"
