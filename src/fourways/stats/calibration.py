"""Does a stated confidence mean what it says? Calibration errors, the Brier score's terms, ranking by confidence.

Everywhere: confidence (n,) in [0, 1], correct (n,) in [0, 1] (1 right, 0 wrong, between for partial credit), n >= 1;
ValueError for anything else. Bins hold equally many answers: those sorted by confidence are cut at 15 equal steps of
rank, or fewer so that a bin has ten answers on average; answers of equal confidence stay together, in the bin of their
middle rank, so that a bin may be larger, and an empty one is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fourways.stats.bootstrap import REPLICATES, bootstrap_totals
from fourways.stats.interval import LEVEL, Floats, Integers, Interval, cluster_codes

BINS = 15
PER_BIN = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One bin: the least and greatest confidence in it, means of confidence and of correct, and how many answers."""

    low: float
    high: float
    confidence: float
    correct: float
    n: int


@dataclass(frozen=True, slots=True)
class Brier:
    """score = reliability - resolution + uncertainty + within.

    score: mean squared gap, 0 (best) to 1. reliability: mean squared gap of bins (calibration; 0 is best). resolution:
    how far bins' accuracies differ from the whole. uncertainty: of the whole. within: what bins hide.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def equal_mass_bins(confidence: ArrayLike, bins: int = BINS) -> Integers:
    """(n,) bin codes 0, 1, … without gaps, rising with the confidence.

    Source: Nguyen & O'Connor (2015), Posterior calibration and exploratory analysis for NLP models, EMNLP (adaptive
    bins).
    """
    array = np.asarray(confidence, dtype=np.float64)
    wanted = max(1, min(bins, array.size // PER_BIN))
    _, place, number = np.unique(array, return_inverse=True, return_counts=True)
    middle = np.cumsum(number) - number / 2
    codes = np.minimum((middle * wanted / array.size).astype(np.int64), wanted - 1)[place.reshape(-1)]
    _, dense = np.unique(codes, return_inverse=True)
    return dense.astype(np.int64).reshape(-1)


def reliability_bins(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """What a reliability diagram shows, from the least confident bin up.

    Source: DeGroot & Fienberg (1983), The comparison and evaluation of forecasters, The Statistician 32.
    """
    said, right = _checked(confidence, correct)
    codes = equal_mass_bins(said, bins)
    found = []
    for code in range(int(codes.max()) + 1):
        mine = codes == code
        ends = float(said[mine].min()), float(said[mine].max())
        found.append(ReliabilityBin(*ends, float(said[mine].mean()), float(right[mine].mean()), int(mine.sum())))
    return tuple(found)


def calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """ECE in [0, 1]: the mean over answers of |accuracy - mean confidence| of their bin.

    Biased upward: chance gaps count as gaps, so a perfectly calibrated model has an ECE above 0, the more so the fewer
    the answers. `debiased_calibration_error` stands beside it.

    Source: Naeini, Cooper & Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning, AAAI;
    Guo et al. (2017), arXiv 1706.04599, section 2; equal-mass bins and the bias: Roelofs et al. (2022), arXiv
    2012.08668.
    """
    said, right = _checked(confidence, correct)
    gaps = np.bincount(equal_mass_bins(said, bins), weights=right - said)
    return float(np.abs(gaps).sum() / said.size)


def debiased_calibration_error(
    clusters: ArrayLike, confidence: ArrayLike, correct: ArrayLike, bins: int = BINS
) -> float | None:
    """The root mean square gap of bins, less what chance adds: sqrt(max(0, sum_b n_b / n (gap_b^2 - variance_b))), the
    variance of a bin's mean gap being cluster-robust. None where a bin has a single cluster.

    Source: Kumar, Liang & Ma (2019), Verified uncertainty calibration, arXiv 1909.10155, section 5, there for
    independent answers; Broecker (2012), Climate Dynamics 39, for the bias.
    """
    said, right = _checked(confidence, correct)
    owner, k = _owners(clusters, said)
    codes = equal_mass_bins(said, bins)
    gap = right - said
    squared = 0.0
    for code in range(int(codes.max()) + 1):
        mine = codes == code
        n, mean = int(mine.sum()), float(gap[mine].mean())
        clumps = np.bincount(owner[mine], weights=gap[mine] - mean, minlength=k)
        number = np.unique(owner[mine]).size
        if number < 2:
            return None
        squared += n / said.size * (mean**2 - float(clumps @ clumps) / n**2 * number / (number - 1))
    return float(np.sqrt(max(0.0, squared)))


def calibration_error_interval(
    clusters: ArrayLike,
    confidence: ArrayLike,
    correct: ArrayLike,
    seed: int,
    bins: int = BINS,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Interval | None:
    """The basic bootstrap interval of `calibration_error` over clusters redrawn whole, bins held; None below two.

    It is reflected about the estimate, [2 e - upper, 2 e - lower] and not below 0, because resamples repeat the upward
    bias: it may lie wholly below the estimate, which then is mostly bias. Even so it leaves out 0 too often for a
    perfectly calibrated model (simulated, 15 bins: it holds 0 in about 4 of 10 samples of 100 to 2,000 answers, and its
    lower end is then 0.01 or so); far from 0 it covers. Seeded.

    Source: Davison & Hinkley (1997), Bootstrap Methods, 5.2.1 (basic interval), 3.8 (clusters).
    """
    said, right = _checked(confidence, correct)
    owner, k = _owners(clusters, said)
    if k < 2:
        return None
    codes = equal_mass_bins(said, bins)
    gaps, sizes = np.zeros((k, int(codes.max()) + 1)), np.bincount(owner, minlength=k).astype(np.float64)
    np.add.at(gaps, (owner, codes), right - said)
    errors = np.concatenate(
        [
            np.abs(totals[:, :-1]).sum(axis=1) / totals[:, -1]
            for totals in bootstrap_totals(np.column_stack([gaps, sizes]), seed, replicates)
        ]
    )
    estimate = float(np.abs(gaps.sum(axis=0)).sum() / said.size)
    below, above = np.quantile(errors, [0.5 - level / 2, 0.5 + level / 2])
    low = max(0.0, 2 * estimate - float(above))
    return Interval(low, max(low, 2 * estimate - float(below)))


def brier(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Brier:
    """The Brier score and its terms over the bins.

    Source: Brier (1950), Monthly Weather Review 78; Murphy (1973), A new vector partition of the probability score, J.
    Appl. Meteorology 12; Stephenson, Coelho & Jolliffe (2008), Weather and Forecasting 23, for what is within bins.
    """
    said, right = _checked(confidence, correct)
    codes = equal_mass_bins(said, bins)
    number = np.bincount(codes)
    stated, observed = np.bincount(codes, weights=said) / number, np.bincount(codes, weights=right) / number
    whole, share = float(right.mean()), number / said.size
    score = float(np.square(said - right).mean())
    reliability = float(share @ np.square(stated - observed))
    resolution = float(share @ np.square(observed - whole))
    uncertainty = whole * (1 - whole)
    return Brier(score, reliability, resolution, uncertainty, score - reliability + resolution - uncertainty)


def confidence_auroc(confidence: ArrayLike, correct: ArrayLike) -> float | None:
    """The chance that a right answer was given with more confidence than a wrong one, ties counting half. 0.5: the
    confidence says nothing. Partial credit counts for both sides by its share. None where all or none is right.

    Source: Hanley & McNeil (1982), The meaning and use of the area under a ROC curve, Radiology 143.
    """
    said, right = _checked(confidence, correct)
    _, place = np.unique(said, return_inverse=True)
    place = place.reshape(-1)
    good, bad = np.bincount(place, weights=right), np.bincount(place, weights=1 - right)
    pairs = float(good.sum() * bad.sum())
    if pairs <= 0:
        return None
    below = np.cumsum(bad) - bad
    return float(good @ (below + bad / 2)) / pairs


def _checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    said, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if said.ndim != 1 or said.shape != right.shape or said.size == 0:
        raise ValueError(f"one confidence an answer is needed: got shapes {said.shape} and {right.shape}")
    for name, array in (("confidence", said), ("correct", right)):
        if not ((array >= 0) & (array <= 1)).all():
            raise ValueError(f"{name} must lie in [0, 1]")
    return said, right


def _owners(clusters: ArrayLike, said: Floats) -> tuple[Integers, int]:
    owner, k = cluster_codes(clusters)
    if owner.shape != said.shape:
        raise ValueError(f"one cluster an answer is needed: got {owner.size} for {said.size}")
    return owner, k
