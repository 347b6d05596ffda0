"""Intervals of a quantile by order statistics: no assumption about the distribution."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log

import numpy as np
from numpy.typing import ArrayLike

from fourways.stats.effective import size_at_level
from fourways.stats.interval import LEVEL, Interval, cluster_codes
from fourways.stats.proportion import clustered_wilson, effective_size


def quantile_interval(
    values: Sequence[float], q: float, level: float = LEVEL, *, worth: int | None = None
) -> Interval | None:
    """The interval of the q-quantile (0 < q < 1), each tail at most (1 - level) / 2.

    worth: how many independent values they are worth, at most their number; None: they are independent. Then the ranks
    are those of so many values, scaled to all of them. None where that is too small for a finite interval: at 95 %,
    n >= 6 for the median, 72 for q = 0.95 and 368 for q = 0.99.

    Source: Hahn & Meeker (1991), Statistical Intervals, section 5.2; David & Nagaraja (2003), Order Statistics, 7.1.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n, tail = ordered.size if worth is None else worth, (1 - level) / 2
    if n < smallest_n(q, level):
        return None
    from scipy import stats  # slow to load, and most commands need no quantile

    # X(l) lies above the quantile exactly when at most l - 1 values lie below it: Bin(n, q).cdf(l - 1).
    lower = int(stats.binom.ppf(tail, n, q))
    while lower >= 1 and stats.binom.cdf(lower - 1, n, q) > tail:
        lower -= 1
    upper = int(stats.binom.ppf(1 - tail, n, q)) + 1
    while upper <= n and stats.binom.sf(upper - 1, n, q) > tail:
        upper += 1
    if lower < 1 or upper > n:
        return None
    return Interval(float(ordered[(lower - 1) * ordered.size // n]), float(ordered[-(-upper * ordered.size // n) - 1]))


def quantile_worth(clusters: ArrayLike, values: ArrayLike, q: float, level: float = LEVEL) -> int:
    """How many independent values these are worth to an interval of their q-quantile; they come in clusters (requests
    that were served together). From the share that lies at or below it: its effective size, lowered because that was
    itself estimated, and never more than there are values. clusters: one label a value.

    Source: Woodruff (1952), J. Am. Stat. Assoc. 47, for a quantile through its share; `effective` for the size.
    """
    array = np.asarray(values, dtype=np.float64)
    _, k = cluster_codes(clusters)
    if k in (1, array.size):
        return int(k)
    below = array <= np.quantile(array, q, method="inverted_cdf")
    return int(min(array.size, size_at_level(effective_size(clusters, below), k - 1, level) + 1e-9))


def smallest_n(q: float, level: float = LEVEL) -> int:
    """The fewest independent values that carry a two-sided interval of the q-quantile.

    Both q**n and (1 - q)**n must be at most (1 - level) / 2. Source: as `quantile_interval`.
    """
    return ceil(log((1 - level) / 2) / log(max(q, 1 - q)))


def clustered_quantile_interval(
    clusters: ArrayLike, values: ArrayLike, q: float, level: float = LEVEL
) -> Interval | None:
    """The interval of the q-quantile of values that come in clusters (the chunk gaps of one request).

    The share of values at or below the quantile gets a clustered interval, whose ends are read off as quantiles. None
    with fewer clusters than `smallest_n`.

    Source: Woodruff (1952), Confidence intervals for medians and other position measures, J. Am. Stat. Assoc. 47, with
    the share's interval from `clustered_wilson`.
    """
    array = np.asarray(values, dtype=np.float64)
    _, k = cluster_codes(clusters)
    if k < smallest_n(q, level):
        return None
    share = clustered_wilson(clusters, array <= np.quantile(array, q, method="inverted_cdf"), level=level)
    if share is None:
        return None
    low, high = np.quantile(array, [share.low, share.high], method="inverted_cdf")
    return Interval(float(low), float(high))
