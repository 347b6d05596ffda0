"""Intervals of one mean of values in [0, 1] that come in clusters (questions about one image)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fourways.stats.combination import LinearCombination, Part
from fourways.stats.effective import size_carried
from fourways.stats.interval import LEVEL, Interval
from fourways.stats.score import score_interval


def effective_size(clusters: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """How many independent yes/no values would carry the same information about the mean: n / design effect.

    clusters: labels of any kind, one a value. weights: one denominator a value where the value is a ratio's numerator.
    More than the number of values where the answers within clusters offset each other.

    Source: Miller (2024), Adding error bars to evals, arXiv 2411.00640, on clustered standard errors; see
    `effective.size_carried` for the rest.
    """
    combination = _one_part(clusters, values, weights)
    return size_carried(combination, 1.0, combination.value * (1 - combination.value))


def clustered_wilson(
    clusters: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None, level: float = LEVEL
) -> Interval | None:
    """`score_interval` of one mean or ratio in [0, 1]; None below two clusters.

    clusters: one label a value. weights: one denominator a value, 1 each if None.
    """
    return score_interval(_one_part(clusters, values, weights), level)


def _one_part(clusters: ArrayLike, values: ArrayLike, weights: ArrayLike | None) -> LinearCombination:
    labels = np.asarray(clusters).astype(str).tolist()
    array = np.asarray(values, dtype=np.float64).tolist()
    below = None if weights is None else np.asarray(weights, dtype=np.float64).tolist()
    return LinearCombination.of([Part(1.0, labels, array, below)])
