"""What every interval of the accuracy axis is of: a sum of means and ratios over units that come in clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fourways.stats.interval import Floats, Integers, cluster_codes, unique_columns


@dataclass(frozen=True, slots=True)
class Part:
    """coefficient x sum(values) / sum(weights): a mean without weights, a ratio with them.

    clusters: one label a value; equal labels in two parts are the same cluster. weights: one denominator a value, 0 or
    more, not all 0; None is 1 each. F1 over answers has the values 2 TP and the weights 2 TP + FP + FN.
    """

    coefficient: float
    clusters: Sequence[str]
    values: Sequence[float]
    weights: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class LinearCombination:
    """sum over parts p of coefficients[p] x sum(values) / sum(weights), over k clusters.

    sums, counts: (parts, k), the sums of a part's values and of its weights in each cluster. strata: (k,) codes; a
    stratum is the set of clusters that have values in the same parts, whatever their weights. A stratum of one cluster
    never varies: of how much it might, it says nothing.
    """

    coefficients: Floats
    sums: Floats
    counts: Floats
    strata: Integers

    @classmethod
    def of(cls, parts: Sequence[Part]) -> LinearCombination:
        """Raises ValueError for a part without values, and for weights that are no denominators."""
        if not parts or any(len(p.values) == 0 or len(p.values) != len(p.clusters) for p in parts):
            raise ValueError("every part needs values, and as many clusters as values")
        codes, k = cluster_codes([label for p in parts for label in p.clusters])
        shape = (len(parts), k)
        sums, counts, members = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
        start = 0
        for i, part in enumerate(parts):
            mine = codes[start : start + len(part.values)]
            start += len(part.values)
            sums[i] = np.bincount(mine, weights=np.asarray(part.values, dtype=np.float64), minlength=k)
            counts[i] = np.bincount(mine, weights=denominators(part), minlength=k)
            members[i] = np.bincount(mine, minlength=k)
        strata, _, _ = unique_columns(members > 0)
        coefficients = np.asarray([p.coefficient for p in parts], dtype=np.float64)
        return cls(coefficients, sums, counts, strata)

    @property
    def clusters(self) -> int:
        return int(self.sums.shape[1])

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the variance: clusters - strata."""
        return self.clusters - int(self.strata.max()) - 1

    @property
    def value(self) -> float:
        return float(self.coefficients @ (self.sums.sum(axis=1) / self.counts.sum(axis=1)))

    @property
    def shares(self) -> Floats:
        """(k,): what each cluster adds to the value; they sum to it."""
        added: Floats = (self.coefficients / self.counts.sum(axis=1)) @ self.sums
        return added

    @property
    def influence(self) -> Floats:
        """(k,): what each cluster adds to the value's deviation, linearised: sum_p c_p (S_pk - N_pk mean_p) / N_p."""
        totals = self.counts.sum(axis=1)
        means = self.sums.sum(axis=1) / totals
        share: Floats = (self.coefficients / totals) @ (self.sums - self.counts * means[:, None])
        return share


def denominators(part: Part) -> Floats:
    """(n,) weights of a part's values. Raises ValueError where they are not one a value, finite, >= 0 and not all 0."""
    if part.weights is None:
        return np.ones(len(part.values))
    weights = np.asarray(part.weights, dtype=np.float64)
    if weights.shape != (len(part.values),) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("a part's weights must be one a value, finite, and 0 or more")
    if weights.sum() <= 0:
        raise ValueError("a part's weights are all 0: its ratio is not defined")
    return weights


def standard_error(combination: LinearCombination) -> float:
    """The cluster-robust standard error of the value: the root of the sum over strata of m / (m - 1) x squared
    influences, with m clusters in the stratum (1 in place of m / (m - 1) where it has one cluster).

    Source: Miller (2024), arXiv 2411.00640, on clustered standard errors; Cochran (1977), Sampling Techniques, 6.5
    for ratios of cluster sums. Influences are not centred within strata, which can only widen it.
    """
    return sqrt(float(_stratum_variances(combination).sum()))


def error_freedom(combination: LinearCombination) -> float:
    """The degrees of freedom of `standard_error`: clusters - 1 for one stratum; fewer than clusters - strata where a
    small stratum has much of the variance. At least 1.

    Source: Satterthwaite (1946), An approximate distribution of estimates of variance components, Biometrics
    Bulletin 2(6).
    """
    variances = _stratum_variances(combination)
    below = np.maximum(np.bincount(combination.strata) - 1, 1)
    spread = float((np.square(variances) / below).sum())
    return max(1.0, float(variances.sum()) ** 2 / spread if spread > 0 else float(combination.freedom))


def _stratum_variances(combination: LinearCombination) -> Floats:
    members = np.bincount(combination.strata)
    squares = np.bincount(combination.strata, weights=np.square(combination.influence))
    return np.asarray(squares * members / np.maximum(members - 1, 1), dtype=np.float64)
