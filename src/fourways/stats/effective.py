"""How much clustered answers say: the size of an independent sample that would say the same."""

from __future__ import annotations

import numpy as np
from scipy import special

from fourways.stats.combination import LinearCombination, standard_error

LEAST_DIFFERING = 3
"""With fewer clusters that differ from the rest, the size of the clumps has at most one degree of freedom."""


def size_carried(combination: LinearCombination, scale: float, unit_variance: float) -> float:
    """n such that n independent units of the given variance would have the combination's cluster-robust variance.

    scale: what the combination is divided by to be in the units of `unit_variance`. n - 1 = unit_variance / robust
    variance, so that one yes/no answer a cluster gives n = the number of clusters exactly. Where the variance is 0, or
    fewer than three clusters differ from the rest, nothing is known of the clumps, and `size_of_whole_clusters` is the
    most that is granted.

    Source: Kish (1965), Survey Sampling, 8.2 (n / design effect).
    """
    cautious = size_of_whole_clusters(combination)
    variance = (standard_error(combination) / scale) ** 2
    if variance <= 1e-20:
        return cautious
    size = unit_variance / variance + 1
    return size if _differing(combination) >= LEAST_DIFFERING else min(size, cautious)


def size_of_whole_clusters(combination: LinearCombination) -> float:
    """The effective size if all answers of a cluster were the same: (sum w)^2 / sum w^2 over the clusters' weights w.

    Source: Kish (1965), Survey Sampling, 11.7.
    """
    weights = np.abs(combination.coefficients) / combination.counts.sum(axis=1) @ combination.counts
    return float(weights.sum() ** 2 / np.square(weights).sum())


def size_at_level(size: float, freedom: float, level: float) -> float:
    """The effective size, lowered because it was itself estimated from clusters with so many degrees of freedom.

    The factor is (t with size - 1 degrees / t with `freedom`)^2, at most 1: none where one yes/no answer a cluster
    leaves nothing to estimate.

    Source: Korn & Graubard (1998), Survey Methodology 24(2), section 2, who take the sample's size for the first t;
    with many equal answers a cluster, that would count copies.
    """
    if size - 1 <= freedom:
        return size
    tail = 0.5 + level / 2
    return size * float(special.stdtrit(size - 1, tail) / special.stdtrit(freedom, tail)) ** 2


def _differing(combination: LinearCombination) -> int:
    """Clusters whose own value is not the commonest."""
    counts = combination.counts
    means = np.divide(combination.sums, counts, out=np.zeros_like(counts), where=counts > 0)
    _, numbers = np.unique(np.round(combination.coefficients @ means, 9), return_counts=True)
    return combination.clusters - int(numbers.max())
