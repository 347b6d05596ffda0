"""Cluster bootstraps. Whole clusters are drawn, because what lies in one cluster is not independent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fourways.stats.combination import LinearCombination
from fourways.stats.interval import LEVEL, Floats, Integers, Interval, cluster_codes, unique_columns

REPLICATES = 2000
_MANY = 5000
_CELLS = 4_000_000
"""Weights held at once: replicates are drawn in batches of at most this many numbers."""


def bootstrap_linear(combination: LinearCombination, seed: int, replicates: int = REPLICATES) -> Floats:
    """(replicates,) values of the combination over clusters redrawn with replacement within their strata: m - 1 of a
    stratum's m, each counted m / (m - 1) times, because drawing m understates the variance of small strata. Seeded.
    A resample in which a part's weights are all 0 is drawn again.

    Source: Davison & Hinkley (1997), Bootstrap Methods, 3.2 (strata) and 3.8 (clusters); Rao & Wu (1988), Resampling
    inference with complex survey data, J. Am. Stat. Assoc. 83, section 2, for m - 1; Agarwal et al. (2021), Deep RL at
    the edge of the statistical precipice, arXiv 2108.13264, section 4.1, for aggregates over tasks.
    """
    rng = np.random.default_rng(seed)
    alike = _alike(combination)
    drawn: list[Floats] = []
    missing = replicates
    while missing > 0:
        for weights in _weight_batches(rng, alike, missing):
            below = weights @ alike.counts.T
            defined = (below > 0).all(axis=1)
            means = (weights @ alike.sums.T)[defined] / below[defined]
            drawn.append(means @ combination.coefficients)
            missing -= int(defined.sum())
    return np.concatenate(drawn)


def bootstrap_totals(columns: Floats, seed: int, replicates: int = REPLICATES) -> Iterator[Floats]:
    """(size, m) arrays, `replicates` rows in all: the totals of columns (k, m), one row a cluster, over resamples drawn
    as in `bootstrap_linear` from one stratum, for statistics that are no linear combination. Seeded.

    Beyond 5,000 clusters the totals are drawn from the normal distribution that they then follow, with their exact
    means and covariances.
    """
    rng = np.random.default_rng(seed)
    k = columns.shape[0]
    if k > _MANY:
        spread = np.cov(columns, rowvar=False, bias=True) * (k * k / (k - 1))
        yield rng.multivariate_normal(columns.sum(axis=0), np.atleast_2d(spread), size=replicates, method="eigh")
        return
    alone = _Alike(np.zeros(k, dtype=np.int64), np.ones(k, dtype=np.int64), columns.T, columns.T)
    for weights in _weight_batches(rng, alone, replicates):
        yield weights @ columns


def pigeonhole(
    rows: ArrayLike, columns: ArrayLike, values: Sequence[float], seed: int, replicates: int = REPLICATES
) -> Floats:
    """(replicates,) means of values in a crossed layout (images x training seeds), both redrawn independently. Seeded.

    A resample that hits no cell is drawn again. Cautious for the rows; with two or three columns it cannot see the
    columns' whole spread, so the number of columns must stand beside the interval.

    Source: Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1(2), section 3.
    """
    array = np.asarray(values, dtype=np.float64)
    row, r = cluster_codes(rows)
    column, c = cluster_codes(columns)
    sums, counts = np.zeros((r, c)), np.zeros((r, c))
    np.add.at(sums, (row, column), array)
    np.add.at(counts, (row, column), 1.0)
    rng = np.random.default_rng(seed)
    drawn: list[Floats] = []
    missing = replicates
    while missing > 0:
        size = min(missing, max(1, _CELLS // r))
        by_row, by_column = _resample(rng, r, r, size), _resample(rng, c, c, size)
        total = np.einsum("bc,bc->b", by_row @ sums, by_column)
        number = np.einsum("bc,bc->b", by_row @ counts, by_column)
        drawn.append(total[number > 0] / number[number > 0])
        missing -= int((number > 0).sum())
    return np.concatenate(drawn)


def percentile_interval(replicates: NDArray[np.float64], clusters: int, level: float = LEVEL) -> Interval | None:
    """The expanded percentile interval of bootstrap replicates over so many clusters; None below two clusters.

    The tails are widened to Student's t with k - 1 degrees and for the k / (k - 1) bias of a resample's variance.

    Source: Hesterberg (2015), What teachers should know about the bootstrap, American Statistician 69(4), section 5.3.
    """
    if clusters < 2:
        return None
    edge = float(special.stdtrit(clusters - 1, 0.5 + level / 2)) * sqrt(clusters / (clusters - 1))
    tail = float(special.ndtr(-edge))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return Interval(float(low), float(high))


@dataclass(frozen=True, slots=True)
class _Alike:
    """Kinds of clusters: those of one stratum with the same sums and counts are interchangeable, so a resample need
    only say how many of each kind it holds. strata, numbers: (kinds,); sums, counts: (parts, kinds)."""

    strata: Integers
    numbers: Integers
    sums: Floats
    counts: Floats


def _alike(combination: LinearCombination) -> _Alike:
    _, first, numbers = unique_columns([combination.strata, *combination.sums, *combination.counts])
    sums, counts = combination.sums[:, first], combination.counts[:, first]
    return _Alike(combination.strata[first], numbers, sums, counts)


def _weight_batches(rng: np.random.Generator, alike: _Alike, replicates: int) -> Iterator[Floats]:
    """(size, kinds) weights: how often each kind of cluster is drawn, batch after batch."""
    members = [np.flatnonzero(alike.strata == s) for s in range(int(alike.strata.max()) + 1)]
    for size in _sizes(replicates, max(1, _CELLS // alike.strata.size)):
        weights = np.empty((size, alike.strata.size))
        for member in members:
            numbers = alike.numbers[member]
            m = int(numbers.sum())
            draws = max(1, m - 1)
            if member.size == m:
                drawn = _resample(rng, m, draws, size)
            else:
                drawn = rng.multinomial(draws, numbers / m, size=size).astype(np.float64)
            weights[:, member] = drawn * (m / draws)
        yield weights


def _resample(rng: np.random.Generator, k: int, draws: int, size: int) -> Floats:
    """(size, k): counts of `draws` draws with replacement from k."""
    picked = rng.integers(0, k, size=(size, draws)) + np.arange(size)[:, None] * k
    return np.bincount(picked.reshape(-1), minlength=size * k).reshape(size, k).astype(np.float64)


def _sizes(total: int, batch: int) -> Iterator[int]:
    while total > 0:
        yield min(total, batch)
        total -= batch
