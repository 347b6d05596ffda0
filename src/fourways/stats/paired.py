"""Two candidates on the same samples: is there a difference, and what difference could have been seen?"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fourways.stats.interval import LEVEL, Floats

FLIPS = 9999
_CELLS = 4_000_000
_DIGITS = 12


def sign_flip_p(contributions: Floats, seed: int, flips: int = FLIPS) -> float:
    """The two-sided p-value of "the sum is 0" when the sign of each cluster's contribution could as well be the other.

    contributions: (k,), one cluster's part of the difference each. The observed signs count as one of the flips. Where
    no flip is as extreme, Hoeffding's bound on the share of all 2^k flips stands in if it is smaller: 1 / (flips + 1)
    alone could never pass an adjustment over hundreds of tests. Seeded.

    Source: Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses, 3.2; Phipson & Smyth (2010),
    Permutation p-values should never be zero, SAGMB 9(1), for the added one; Hoeffding (1963), J. Am. Stat. Assoc. 58,
    theorem 2.
    """
    moving = contributions[contributions != 0]
    if moving.size == 0:
        return 1.0
    # Equal sizes are interchangeable: of n of them, so many are positive as n coins show heads. What differs only in
    # the order of addition is the same size, and gives the same sum.
    sizes, numbers = np.unique(np.round(np.abs(moving) / np.abs(moving).max(), _DIGITS), return_counts=True)
    observed = abs(float(moving.sum())) / float(np.abs(moving).max()) - moving.size * 10.0**-_DIGITS
    rng = np.random.default_rng(seed)
    batch = max(1, _CELLS // sizes.size)
    extreme, left = 0, flips
    while left > 0:
        size = min(left, batch)
        heads = rng.binomial(numbers, 0.5, size=(size, sizes.size))
        extreme += int((np.abs((2 * heads - numbers) @ sizes) >= observed).sum())
        left -= size
    if extreme == 0:
        bound = 2 * exp(-(max(0.0, observed) ** 2) / (2 * float(numbers @ np.square(sizes))))
        return min(bound, 1 / (flips + 1))
    return (extreme + 1) / (flips + 1)


def mcnemar_exact(first: ArrayLike, second: ArrayLike) -> float:
    """The exact two-sided p-value of "both are right equally often", from the questions that only one got right: twice
    the smaller binomial tail, at most 1; 1 where there are none. The whole tail, not the mid-p.

    first, second: (n,) 0 or 1, the same questions in the same order. Legitimate only where the questions are
    independent, one an image; that is for the caller to know. Elsewhere `sign_flip_p` over images is the test.

    Source: McNemar (1947), Psychometrika 12(2); exact form: Fagerland, Lydersen & Laake (2013), The McNemar test for
    binary matched-pairs data, BMC Med. Res. Methodol. 13:91, "exact conditional test".
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"both need one value a question: got shapes {one.shape} and {other.shape}")
    if not np.isin(np.concatenate([one, other]), (0, 1)).all():
        raise ValueError("McNemar's test is of right (1) and wrong (0) answers only")
    only_first, only_second = int((one > other).sum()), int((one < other).sum())
    discordant = only_first + only_second
    return min(1.0, 2 * float(special.bdtr(min(only_first, only_second), discordant, 0.5)))


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
    return float(special.ndtri(0.5 + level / 2) + special.ndtri(power)) * standard_error


def images_needed(standard_error: float, n: int, difference: float, power: float = 0.8, level: float = LEVEL) -> int:
    """How many images a test at `level` needs to find `difference` with probability `power`: the inverse of
    `detectable_difference`, as a standard error falls with the root of the number of images.

    standard_error: of the difference, as seen with n images (n >= 1). difference: not 0, in the same unit; its sign
    does not matter. At least 1.

    Source: as `detectable_difference`.
    """
    if difference == 0 or n < 1:
        raise ValueError("a difference other than 0, seen with at least one image, is needed")
    return max(1, ceil(n * (detectable_difference(standard_error, power, level) / difference) ** 2))
