"""Two candidates on the same samples: is there a difference, and what difference could have been seen?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from fourways.stats.interval import LEVEL, Floats

FLIPS = 9999
_CELLS = 4_000_000


def sign_flip_p(contributions: Floats, seed: int, flips: int = FLIPS) -> float:
    """The two-sided p-value of "the sum is 0" when the sign of each cluster's contribution could as well be the other.

    contributions: (k,), one cluster's part of the difference each. The observed signs count as one of the flips, so the
    smallest value is 1 / (flips + 1). Seeded.

    Source: Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses, 3.2; Phipson & Smyth (2010),
    Permutation p-values should never be zero, SAGMB 9(1), for the added one.
    """
    moving = contributions[contributions != 0]
    if moving.size == 0:
        return 1.0
    # A hair of slack, so that a flip which gives the same sum in another order of addition counts as equal.
    observed = abs(float(moving.sum())) * (1 - 1e-12)
    rng = np.random.default_rng(seed)
    batch = max(1, _CELLS // moving.size)
    extreme, left = 0, flips
    while left > 0:
        size = min(left, batch)
        signs = rng.integers(0, 2, size=(size, moving.size)) * 2.0 - 1.0
        extreme += int((np.abs(signs @ moving) >= observed).sum())
        left -= size
    return (extreme + 1) / (flips + 1)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted so that the chance of any false rejection among them stays below the level; order kept.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6(2), section 3.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


def detectable_difference(standard_error: float, power: float = 0.8, level: float = LEVEL) -> float:
    """The difference that a test at `level` would find with probability `power`, given the difference's standard error.

    Source: Miller (2024), Adding error bars to evals, arXiv 2411.00640, on power analysis.
    """
    return float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power)) * standard_error
