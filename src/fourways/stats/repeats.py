"""One older value, and a few that were measured again: are they alike?"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy import special

from fourways.stats.interval import LEVEL, Interval


def against_one(old: float, new: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The interval of mean(new) - old if all of them, the old one too, vary with the spread that the new ones show;
    None for fewer than two new ones. No width where they are all alike.

    The old value is a single draw whose own error cannot be seen: the interval is that of a prediction.

    Source: Meeker, Hahn & Escobar (2017), Statistical Intervals, 4.7 (prediction of one future observation).
    """
    values = np.asarray(new, dtype=np.float64)
    if values.size < 2:
        return None
    needed = float(special.stdtrit(values.size - 1, 0.5 + level / 2))
    width = needed * float(values.std(ddof=1)) * sqrt(1 + 1 / values.size)
    difference = float(values.mean()) - old
    return Interval(difference - width, difference + width)
