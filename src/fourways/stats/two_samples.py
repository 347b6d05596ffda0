"""Two sets of runs (fresh starts, blocks), each of which gave one number: do they differ?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb, sqrt
from typing import NamedTuple

import numpy as np
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


def permutation_p(first: Sequence[float], second: Sequence[float], seed: int) -> float:
    """The two-sided p-value of "who was called first does not matter", of the difference of means: exact over all ways
    to split the runs, up to 20,000 of them; else over 9,999 seeded ones, the observed counted among them. With 5 runs
    each the least it can be is 2 / 252.

    Source: Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses, 3.3; Phipson & Smyth (2010),
    Permutation p-values should never be zero, SAGMB 9(1).
    """
    pooled = np.concatenate([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    size, total = len(first), float(pooled.sum())
    centre = total * size / pooled.size
    least = abs(float(pooled[:size].sum()) - centre) - 1e-9 * max(1e-300, float(np.abs(pooled).sum()))
    if comb(pooled.size, size) <= _MOST_SPLITS:
        splits = np.array(list(combinations(range(pooled.size), size)))
        return float((np.abs(pooled[splits].sum(axis=1) - centre) >= least).mean())
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(pooled, (_DRAWS, 1)), axis=1)[:, :size].sum(axis=1)
    return (int((np.abs(drawn - centre) >= least).sum()) + 1) / (_DRAWS + 1)
