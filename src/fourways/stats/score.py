"""Score intervals at the effective size: of one mean, ratio or sum, and of the difference between two candidates."""

from __future__ import annotations

from math import sqrt

import numpy as np
from scipy import special

from fourways.stats.combination import LinearCombination, error_freedom
from fourways.stats.effective import size_at_level, size_carried
from fourways.stats.interval import LEVEL, Interval

_HALVINGS = 50


def wilson(mean: float, n: float, level: float = LEVEL) -> Interval:
    """The score interval of a proportion `mean` in [0, 1] over n > 0 (possibly fractional) independent values.

    It stays inside [0, 1] and has width where every value is the same, which the normal and bootstrap ones do not.

    Source: Wilson (1927), Probable inference, J. Am. Stat. Assoc. 22, p. 209; Brown, Cai & DasGupta (2001), Interval
    estimation for a binomial proportion, Statistical Science 16(2), section 3.1.1.
    """
    if n <= 0:
        raise ValueError(f"n must be positive, got {n}")
    mean = min(1.0, max(0.0, mean))
    z2 = float(special.ndtri(0.5 + level / 2)) ** 2
    centre = (mean + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (mean * (1 - mean) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean)))


def score_interval(combination: LinearCombination, level: float = LEVEL) -> Interval | None:
    """`wilson` at the effective size, for parts whose mean or ratio lies in [0, 1]; in the unit of the combination.

    The combination is put on [0, 1] by the least and the greatest value that its coefficients allow. None where there
    are no more clusters than strata.

    Source: as `wilson`; Dean & Pagano (2015), J. Survey Stat. Methodol. 3(4), on score intervals at the effective size;
    Korn & Graubard (1998) for few clusters, see `size_at_level`.
    """
    if combination.freedom < 1:
        return None
    lowest = float(np.minimum(combination.coefficients, 0).sum())
    scale = float(np.abs(combination.coefficients).sum())
    if scale == 0:
        return Interval(0.0, 0.0)
    share = min(1.0, max(0.0, (combination.value - lowest) / scale))
    size = size_carried(combination, scale, share * (1 - share))
    low, high = wilson(share, size_at_level(size, error_freedom(combination), level), level)
    return Interval(lowest + scale * low, lowest + scale * high)


def paired_interval(combination: LinearCombination, level: float = LEVEL) -> Interval | None:
    """The interval of first minus second, over the same samples: `tango` at the effective size.

    combination: the first candidate's parts, and the second's with coefficients of the other sign; every part's mean or
    ratio lies in [0, 1]. What each cluster adds counts as "first only" where it is positive and "second only" where it
    is negative, as a share of the greatest difference there can be (half of the coefficients' absolute sum). With one
    yes/no answer an image this is Tango's interval itself. It has width where the candidates never differ. None where
    there are no more clusters than strata.

    Source: as `tango`; the effective size as in `score_interval`.
    """
    if combination.freedom < 1:
        return None
    scale = float(np.abs(combination.coefficients).sum()) / 2
    if scale == 0:
        return Interval(0.0, 0.0)
    difference = min(1.0, max(-1.0, combination.value / scale))
    moved = min(1.0, max(abs(difference), float(np.abs(combination.shares).sum()) / scale))
    size = size_carried(combination, scale, moved - difference**2)
    size = size_at_level(size, error_freedom(combination), level)
    low, high = tango(size * (moved + difference) / 2, size * (moved - difference) / 2, size, level)
    return Interval(scale * low, scale * high)


def tango(first_only: float, second_only: float, n: float, level: float = LEVEL) -> Interval:
    """The score interval of p(first right) - p(second right) over n > 0 pairs, of which `first_only` have the first
    right and the second wrong, `second_only` the reverse; all possibly fractional. Inside [-1, 1].

    Raises ValueError where the two exceed n.

    Source: Tango (1998), Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design, Statistics in Medicine 17(8).
    """
    if n <= 0 or first_only < 0 or second_only < 0 or first_only + second_only > n * (1 + 1e-9):
        raise ValueError(f"{first_only} and {second_only} cannot be counts among {n} pairs")
    z2 = float(special.ndtri(0.5 + level / 2)) ** 2

    def accepts(delta: float) -> bool:
        off = first_only - second_only - n * delta
        return off * off <= z2 * _null_variance(first_only, second_only, n, delta)

    observed = min(1.0, max(-1.0, (first_only - second_only) / n))
    ends = []
    for outside in (-1.0, 1.0):
        inside = observed
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if accepts(middle) else (inside, middle)
        ends.append(outside)
    return Interval(ends[0], ends[1])


def _null_variance(b: float, c: float, n: float, delta: float) -> float:
    """The variance of b - c when the difference is delta, at the likeliest share of `second only` under it."""
    linear = -b - c + (2 * n - b + c) * delta
    root = sqrt(max(0.0, linear * linear + 8 * n * c * delta * (1 - delta)))
    share = (root - linear) / (4 * n)
    return n * max(0.0, 2 * share + delta * (1 - delta))
