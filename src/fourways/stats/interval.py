"""What every method here returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

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


def unique_columns(rows: Iterable[NDArray[Any]]) -> tuple[Integers, Integers, Integers]:
    """rows: each (k,) → which columns are alike in all rows: codes (k,), 0…d-1; the place of the first of each kind
    (d,); and how many there are of each (d,)."""
    codes = np.zeros(0, dtype=np.int64)
    for row in rows:
        if codes.size == 0:
            codes = np.zeros(row.size, dtype=np.int64)
        values, mine = np.unique(row, return_inverse=True)
        if values.size > 1:
            _, codes = np.unique(codes * values.size + mine.reshape(-1), return_inverse=True)
            codes = codes.astype(np.int64).reshape(-1)
    _, first, numbers = np.unique(codes, return_index=True, return_counts=True)
    return codes, first.astype(np.int64), numbers.astype(np.int64)
