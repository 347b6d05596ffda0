"""Of requests that come one after another and are not independent: what share misses, and whether delay grows."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fourways.stats.interval import LEVEL, Floats, Interval

BATCHES = 20
_GROWTH_BATCHES = 10
_LEAST_CLUMPS = 3
_WORKING = 1.5
"""1 + 2 × the correlation of neighbouring increments: by how much the variance of their sum exceeds that of as many
independent ones."""


def share_in_order(flags: Sequence[bool], near: Sequence[bool] = (), level: float = LEVEL) -> Interval | None:
    """The interval of a share of requests in the order in which they were due; None for none.

    near: which of them came near to being flagged; they show a clump before any flag does. Empty where that is unknown.

    Exact binomial at n / design effect, never below 1. What a queue makes late comes in clumps, so the design effect is
    estimated from the shares of consecutive batches, of the flags and of the near ones, and the greater is taken; where
    fewer than three batches hold any, it is the greatest number that one batch holds. With none at all the interval
    lies below 0.05 from n = 72 on.

    Source: Clopper & Pearson (1934), Biometrika 26(4); Law (2015), Simulation Modeling and Analysis, 9.5.3, for batch
    means; Kish (1965), Survey Sampling, 8.2, for n / design effect.
    """
    array = np.asarray(flags, dtype=np.float64)
    if array.size == 0:
        return None
    size = array.size / max(_design_effect(array), _design_effect(np.asarray(near, dtype=np.float64)))
    count, tail = float(array.mean()) * size, (1 - level) / 2
    low = float(special.betaincinv(count, size - count + 1, tail)) if count > 0 else 0.0
    high = float(special.betaincinv(count + 1, size - count, 1 - tail)) if count < size else 1.0
    return Interval(low, high)


def least_to_keep(allowed: float, level: float = LEVEL) -> int:
    """The fewest requests after which `share_in_order` can lie at or below `allowed`, namely if none missed: 72 for 5 %
    and 368 for 1 % at 95 %."""
    return ceil(log((1 - level) / 2) / log(1 - allowed) - 1e-9)


def _design_effect(array: Floats) -> float:
    if array.sum() in (0, array.size):
        return 1.0
    batches = np.array_split(array, min(BATCHES, array.size))
    held = np.array([float(batch.sum()) for batch in batches])
    rare = min((held > 0).sum(), (held < [batch.size for batch in batches]).sum())
    if rare < _LEAST_CLUMPS:
        return max(1.0, float(held.max()))
    share = float(array.mean())
    spread = float(np.var([float(batch.mean()) for batch in batches], ddof=1))
    return max(1.0, spread * array.size / len(batches) / (share * (1 - share)))


class Growth(NamedTuple):
    """By how much a value grows in a unit of time, and the interval of that."""

    slope: float
    interval: Interval


def growth(instants: ArrayLike, values: ArrayLike, level: float = LEVEL) -> Growth | None:
    """How fast the delay of requests grows; None for fewer than two a batch. instants, values: (n,), in one unit of
    time, in order.

    Behind a server that gets more than it answers, delay is a random walk with a drift; a line fitted through it would
    look certain also without the drift. So it is the *increments* between the means of ten consecutive batches that are
    tested, with Student's t. Of a random walk, neighbouring increments of averages correlate by a quarter, which is
    allowed for; those of a queue in balance offset each other, so that there the interval is wider than it need be.

    Source: Granger & Newbold (1974), Spurious regressions in econometrics, J. Econometrics 2, for why not a line;
    Working (1960), Note on the correlation of first differences of averages in a random chain, Econometrica 28.
    """
    when, what = np.asarray(instants, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if when.size < 2 * _GROWTH_BATCHES:
        return None
    times = np.array([part.mean() for part in np.array_split(when, _GROWTH_BATCHES)])
    means = np.array([part.mean() for part in np.array_split(what, _GROWTH_BATCHES)])
    length, steps = float(times[-1] - times[0]), np.diff(means)
    if length <= 0:
        return None
    slope = float(means[-1] - means[0]) / length
    error = float(steps.std(ddof=1)) * sqrt(_WORKING * steps.size) / length
    half = float(special.stdtrit(steps.size - 1, 0.5 + level / 2)) * error
    return Growth(slope, Interval(slope - half, slope + half))
