"""The specification's normalised score: where a value stands among a named list of models, squeezed into 0.047…0.953.

Clipping ties models by construction: every model at or below q1 gets the one end and every model at or above q3 the
other, so about half of the models that made the quartiles tie. And the score depends on who is in that list. The raw
value must stand beside it, and ranking is by the raw value.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fourways.stats.interval import Floats

STEEPNESS = 6.0
"""The sigmoid's coefficient. Centred, sigma(6 (u - 1/2)), it goes from 0.0474 to 0.9526."""


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """(q1, q3): the 25th and 75th percentile of a benchmark's scores over a named list of models, at least two.

    Linear between order statistics, at rank 1 + q (n - 1): numpy's method "linear". Raises ValueError for fewer than
    two values and for values that are not finite: a model without a score does not belong in the list.

    Source: Hyndman & Fan (1996), Sample quantiles in statistical packages, American Statistician 50(4), definition 7.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2 or not np.isfinite(array).all():
        raise ValueError(f"quartiles need at least two finite scores, got {array.tolist()}")
    q1, q3 = np.quantile(array, [0.25, 0.75], method="linear")
    return float(q1), float(q3)


def normalised(values: ArrayLike, q1: float, q3: float) -> Floats | None:
    """Scores of any shape, in the quartiles' unit, higher is better → normalised scores of that shape: clipped to
    [q1, q3], put on 0…1, then sigma(6 (u - 1/2)). NaN (missing) stays NaN. None where q1 = q3: not defined.

    Raises ValueError for quartiles that are not finite or the wrong way round. Source: the project's specification.
    """
    if not (isfinite(q1) and isfinite(q3) and q1 <= q3):
        raise ValueError(f"quartiles must be finite and in order, got q1 = {q1} and q3 = {q3}")
    if q1 == q3:
        return None
    placed = (np.clip(np.asarray(values, dtype=np.float64), q1, q3) - q1) / (q3 - q1)
    found: Floats = np.asarray(special.expit(STEEPNESS * (placed - 0.5)), dtype=np.float64)
    return found


def normalised_score(value: float | None, q1: float, q3: float) -> float | None:
    """`normalised` of one value; None where it is missing (None or NaN) or not defined."""
    if value is None or np.isnan(value):
        return None
    found = normalised(value, q1, q3)
    return None if found is None else float(found)
