"""What every method here returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEVEL = 0.95
"""Two-sided, unless a caller says otherwise."""


class Interval(NamedTuple):
    """Both ends, in the unit of the data."""

    low: float
    high: float

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high


def cluster_codes(clusters: ArrayLike) -> tuple[Integers, int]:
    """Labels (n,) of any kind → (codes 0…k-1 of shape (n,), in the order of first sight, k)."""
    labels = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
    seen: dict[object, int] = {}
    codes = [seen.setdefault(label, len(seen)) for label in cast("Iterable[object]", labels)]
    return np.asarray(codes, dtype=np.int64), len(seen)
