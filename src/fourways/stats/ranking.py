"""The interval of the chance that a right answer was given with more confidence than a wrong one."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fourways.stats.interval import LEVEL, Interval, cluster_codes


def confidence_auroc_interval(
    clusters: ArrayLike, confidence: ArrayLike, correct: ArrayLike, level: float = LEVEL
) -> Interval | None:
    """The interval of `confidence_auroc`, on the logit scale, over answers that come in clusters.

    clusters: (n,) labels; confidence, correct: (n,), correct in [0, 1]. None below two clusters, and where the area is
    not defined, or is 0 or 1: then no answer's place tells how far off it may be.

    Source: Obuchowski (1997), Nonparametric analysis of clustered ROC curve data, Biometrics 53(2), equations 2 to 4
    (placement values summed by cluster); the logit scale: Pepe (2003), The statistical evaluation of medical tests,
    section 5.2.
    """
    said, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    owner, k = cluster_codes(clusters)
    good, bad = float(right.sum()), float((1 - right).sum())
    if k < 2 or good <= 0 or bad <= 0:
        return None
    _, place = np.unique(said, return_inverse=True)
    place = place.reshape(-1)
    at_good, at_bad = np.bincount(place, weights=right), np.bincount(place, weights=1 - right)
    # Of each answer: the share of wrong ones below it, and the share of right ones above it, ties counting half.
    beaten = ((np.cumsum(at_bad) - at_bad / 2) / bad)[place]
    beating = ((good - np.cumsum(at_good) + at_good / 2) / good)[place]
    area = float(right @ beaten) / good
    if not 0 < area < 1:
        return None
    moved = np.bincount(
        owner, weights=right * (beaten - area) / good + (1 - right) * (beating - area) / bad, minlength=k
    )
    error = sqrt(float(moved @ moved) * k / (k - 1)) / (area * (1 - area))
    centre, reach = log(area / (1 - area)), float(special.stdtrit(k - 1, 0.5 + level / 2)) * error
    return Interval(float(special.expit(centre - reach)), float(special.expit(centre + reach)))
