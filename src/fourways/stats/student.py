"""Student's t: a mean over a few independent repeats (processes, blocks, seeds)."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy import special

from fourways.stats.interval import LEVEL, Interval


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The interval of the mean of independent values of one unit; None below two values.

    Equal values give an interval of no width: that is what was observed, and n says how much it means.

    Source: Student (1908), The probable error of a mean, Biometrika 6(1), section IX.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2:
        return None
    half = float(special.stdtrit(array.size - 1, 0.5 + level / 2)) * float(array.std(ddof=1)) / sqrt(array.size)
    mean = float(array.mean())
    return Interval(mean - half, mean + half)
