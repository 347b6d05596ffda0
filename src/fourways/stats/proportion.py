"""Intervals of one mean of values in [0, 1] that come in clusters (questions about one image)."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from fourways.stats.interval import LEVEL, Interval, cluster_codes


def wilson(mean: float, n: float, level: float = LEVEL) -> Interval:
    """The score interval of a proportion `mean` in [0, 1] over n > 0 (possibly fractional) independent values.

    It stays inside [0, 1] and has width where every value is the same, which the normal and bootstrap ones do not.

    Source: Wilson (1927), Probable inference, J. Am. Stat. Assoc. 22, p. 209; Brown, Cai & DasGupta (2001), Interval
    estimation for a binomial proportion, Statistical Science 16(2), section 3.1.1.
    """
    if n <= 0:
        raise ValueError(f"n must be positive, got {n}")
    mean = min(1.0, max(0.0, mean))
    z2 = float(stats.norm.ppf(0.5 + level / 2)) ** 2
    centre = (mean + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (mean * (1 - mean) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean)))


def effective_size(clusters: ArrayLike, values: ArrayLike) -> float:
    """How many independent yes/no values would carry the same information about the mean: n / design effect.

    clusters: labels of any kind, one a value. With mean m, p(1 - p) / variance, the variance being the cluster-robust
    one (linearised ratio of cluster sums, times k / (k - 1) for k clusters). At most the number of values: clusters
    whose answers offset each other are no more than independent. Where that variance is 0 or there is one cluster it
    is not defined, and the number of clusters stands in: the cautious end.

    Source: Kish (1965), Survey Sampling, 8.2; Miller (2024), Adding error bars to evals, arXiv 2411.00640, on clustered
    standard errors; Dean & Pagano (2015), J. Survey Stat. Methodol. 3(4), on the score interval at the effective size.
    """
    array = np.asarray(values, dtype=np.float64)
    codes, k = cluster_codes(clusters)
    mean = float(array.mean())
    residual = np.bincount(codes, weights=array - mean, minlength=k)
    variance = float(residual @ residual) / array.size**2
    if k < 2 or variance <= 0:
        return float(k)
    return min(float(array.size), mean * (1 - mean) / (variance * k / (k - 1)))


def clustered_wilson(clusters: ArrayLike, values: ArrayLike, level: float = LEVEL) -> Interval | None:
    """`wilson` at the `effective_size`, with t in place of z for few clusters; None below two clusters.

    values in [0, 1]; clusters: one label a value. Source: as `effective_size`; the t correction of the effective size
    is that of Korn & Graubard (1998), Survey Methodology 24(2), section 2.
    """
    _, k = cluster_codes(clusters)
    if k < 2:
        return None
    z, t = stats.norm.ppf(0.5 + level / 2), stats.t.ppf(0.5 + level / 2, k - 1)
    n = effective_size(clusters, values) * float(z / t) ** 2
    return wilson(float(np.mean(np.asarray(values, dtype=np.float64))), n, level)
