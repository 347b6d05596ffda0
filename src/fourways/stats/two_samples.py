"""Two sets of runs (fresh starts, blocks), each of which gave one number: do they differ?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fourways.stats.interval import LEVEL, Interval

_MOST_SPLITS = 20_000
_DRAWS = 9999


class Difference(NamedTuple):
    """Mean of the first minus mean of the second. sees: the least difference that a test at the level finds with 80 %
    probability. interval, sees None: both never varied, or one has a single run."""

    value: float
    interval: Interval | None
    sees: float | None


def welch(first: Sequence[float], second: Sequence[float], level: float = LEVEL, power: float = 0.8) -> Difference:
    """The difference of two means of independent runs whose spreads may differ. Both non-empty.

    Source: Welch (1947), The generalization of Student's problem, Biometrika 34; the least difference seen: Cohen
    (1988), Statistical Power Analysis, 2.2, with t in place of z for few runs.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    value = float(one.mean() - other.mean())
    if min(one.size, other.size) < 2:
        return Difference(value, None, None)
    parts = float(one.var(ddof=1)) / one.size, float(other.var(ddof=1)) / other.size
    error = sqrt(sum(parts))
    if error == 0:
        return Difference(value, None, None)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (one.size - 1) + parts[1] ** 2 / (other.size - 1))
    needed = float(special.stdtrit(freedom, 0.5 + level / 2))
    sees = (needed + float(special.stdtrit(freedom, power))) * error
    return Difference(value, Interval(value - needed * error, value + needed * error), sees)


def permutation_ps(first: ArrayLike, second: ArrayLike, seed: int) -> list[float]:
    """The two-sided p-values of "who was called first does not matter", of k differences of means that were taken of
    the same runs, adjusted for being k: the chance that the greatest of all k, each in units of its own spread, is as
    great as this one. first: (n, k), second: (m, k).

    Exact over all ways to split the runs, up to 20,000 of them; else over 9,999 seeded ones, the observed counted among
    them. No p is below `least_p`. Where the first runs of both sides have something in common (pictures, instants), it
    errs on the safe side.

    Source: Westfall & Young (1993), Resampling-Based Multiple Testing, 2.3 (single-step maxT); Phipson & Smyth (2010),
    Permutation p-values should never be zero, SAGMB 9(1).
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    pooled = np.concatenate([one, other])
    centred = pooled - pooled.mean(axis=0)
    spread = centred.std(axis=0)
    # Means of equal numbers may differ from them in the last bit.
    varies = spread > 1e-12 * np.maximum(1e-300, np.abs(pooled).max(axis=0))
    scaled = np.where(varies, centred / np.where(varies, spread, 1.0), 0.0)
    observed = np.abs(scaled[: len(one)].sum(axis=0))
    greatest = np.array([np.abs(scaled[split].sum(axis=0)).max() for split in _splits(len(pooled), len(one), seed)])
    counts = (greatest[:, None] >= observed - 1e-9).sum(axis=0)
    if comb(len(pooled), len(one)) <= _MOST_SPLITS:
        return [float(count) / len(greatest) for count in counts]
    return [(int(count) + 1) / (_DRAWS + 1) for count in counts]


def least_p(first: int, second: int) -> float:
    """The least that `permutation_ps` can give of so many runs: 2 / 252 of 5 each, 2 / 70 of 4."""
    ways = comb(first + second, first)
    return (2 if first == second else 1) / ways if ways <= _MOST_SPLITS else 1 / (_DRAWS + 1)


def _splits(total: int, size: int, seed: int) -> NDArray[np.int64]:
    """(splits, size): which runs are called first."""
    if comb(total, size) <= _MOST_SPLITS:
        return np.array(list(combinations(range(total), size)))
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(total), (_DRAWS, 1)), axis=1)[:, :size]
