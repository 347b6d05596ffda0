"""Candidates two by two on the same samples: how far apart, could this n have told, and how many would (rule 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourways.benchmarks.contract import Metric, MetricPart
from fourways.core.figure import Figure
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.linear import ONE_IMAGE, combined, rests_on_one_image
from fourways.figures.seeds import seed_for
from fourways.stats import (
    LinearCombination,
    detectable_difference,
    holm,
    images_needed,
    mcnemar_exact,
    paired_interval,
    sign_flip_p,
    standard_error,
)

_TESTED = (
    "score interval of a paired difference at the effective size (clusters: images). Separated where p < 0.05, "
    "Holm-adjusted over all pairs of candidates times (benchmarks and the aggregate); p: exact McNemar where every "
    "image has one question and scores are 0 or 1, else 9,999 sign flips over images. `sees`: the least difference "
    "found with 80 % power at that level unadjusted; `1 pp needs`: the images at which that would be 1 % of the maximum"
)
AGGREGATE_DIFFERENCE = Definition(
    "aggregate_difference",
    "accuracy",
    "fraction",
    "none",
    "images",
    "aggregate of the candidate minus that of `versus`, over the samples that both were asked",
    _TESTED,
    version=2,
)
PRIMARY_DIFFERENCE = Definition(
    "primary_difference",
    "accuracy",
    "",
    "none",
    "images",
    "a benchmark's primary metric of the candidate minus that of `versus`, over the samples that both were asked",
    _TESTED,
)
DEFINITIONS = (AGGREGATE_DIFFERENCE, PRIMARY_DIFFERENCE)
SIGNIFICANT = 0.05
LEAST_IMAGES = 10
"""Below this a share says nothing that a person should act on."""
_ONE_POINT = 0.01
_ROUNDING = 1e-9
"""Of one question: what is smaller is no difference, only the order of additions."""

Test = Literal["exact McNemar", "sign flips over images"]


@dataclass(frozen=True, slots=True)
class Compared:
    """first minus second in the metric's unit, and the least difference that this n could have seen.

    images_for_one_point: how many it takes to see 1 % of the maximum; None where nothing differed.
    """

    estimate: Estimate
    p: float
    test: Test
    sees: float
    images_for_one_point: int | None

    @property
    def alike(self) -> bool:
        """Whether every answer scored the same, as far as images tell."""
        return self.images_for_one_point is None and abs(self.estimate.value) < _ROUNDING

    @property
    def testable(self) -> bool:
        return self.estimate.interval is not None and self.estimate.n >= LEAST_IMAGES


@dataclass(frozen=True, slots=True)
class Pair:
    """Two candidates' metric over the same samples; None: they have none in common. labels: of the figure."""

    definition: Definition
    first: str
    second: str
    metrics: tuple[Metric, Metric] | None
    labels: dict[str, str]


def compare(first: Metric, second: Metric, seed: int) -> Compared:
    """Both over the same samples, so that their parts have the same units and clusters."""
    minus = [replace(part, coefficient=-part.coefficient) for part in second.parts]
    combination = combined((*first.parts, *minus))
    alone = rests_on_one_image(first.parts)
    interval = None if alone else paired_interval(combination)
    p, test = _p_value(first, second, combination, seed)
    error, point = standard_error(combination), _ONE_POINT * first.maximum
    needed = images_needed(error, combination.clusters, point) if error > 1e-9 * first.maximum else None
    estimate = Estimate(combination.value, interval, combination.clusters, ONE_IMAGE if alone else None)
    return Compared(estimate, p, test, detectable_difference(error), needed)


def pair_figures(pairs: Sequence[Pair]) -> Iterator[Figure]:
    """A figure for each, adjusted over all of them, labelled with the other's name and a verdict in words."""
    compared = [_of_pair(pair) for pair in pairs]
    tested = [one for one in compared if one is not None and one.testable]
    adjusted = iter(holm([one.p for one in tested]))
    for pair, found in zip(pairs, compared, strict=True):
        if pair.metrics is None or found is None:
            labels = {**pair.labels, "versus": pair.second}
            yield absent(pair.definition, pair.first, "undefined", "no samples in common", labels)
        else:
            p = next(adjusted) if found.testable else None
            yield _figure(pair, pair.metrics[0], found, p)


def _of_pair(pair: Pair) -> Compared | None:
    if pair.metrics is None:
        return None
    return compare(*pair.metrics, seed_for(pair.definition.id, *pair.labels.values()))


def _figure(pair: Pair, metric: Metric, found: Compared, p: float | None) -> Figure:
    labels = {
        **pair.labels,
        "versus": pair.second,
        "verdict": _verdict(pair, metric, found, p),
        "p": _probability(found.p),
        "test": found.test,
    }
    if p is not None:
        labels["p (Holm)"] = _probability(p)
    if found.images_for_one_point is not None:
        labels["sees"] = amount(found.sees, metric.unit)
        labels["1 pp needs"] = f"about {found.images_for_one_point:,} images"
    definition = replace(pair.definition, unit=metric.unit)
    return figure(definition, pair.first, found.estimate, labels, least=LEAST_IMAGES)


def _verdict(pair: Pair, metric: Metric, found: Compared, p: float | None) -> str:
    if found.estimate.n < LEAST_IMAGES:
        return f"not separated ({found.estimate.n} images are too few to tell)"
    if p is None:
        return f"not separated ({found.estimate.note or 'no interval'})"
    if p < SIGNIFICANT:
        better = found.estimate.value > 0 if metric.direction != "lower" else found.estimate.value < 0
        ahead, behind = (pair.first, pair.second) if better else (pair.second, pair.first)
        return f"{ahead} is ahead of {behind}"
    return f"not separated ({seen(found, metric)})"


def seen(found: Compared, metric: Metric) -> str:
    """What this n could have told."""
    if found.alike:
        return "every answer scored the same"
    return f"this n sees differences of {amount(found.sees, metric.unit)} or more"


def amount(size: float, unit: str) -> str:
    """A difference in words: percentage points of a share, points of a sum."""
    if unit == "fraction":
        return f"{100 * size:.1f} pp"
    if unit.startswith("points"):
        return f"{size:.0f} points"
    return f"{size:.3g} {unit}".rstrip()


def _probability(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _p_value(first: Metric, second: Metric, combination: LinearCombination, seed: int) -> tuple[float, Test]:
    if _one_question_an_image(first) and _one_question_an_image(second):
        return mcnemar_exact(first.parts[0].values, second.parts[0].values), "exact McNemar"
    return sign_flip_p(_by_cluster(first.parts, combination), seed), "sign flips over images"


def _one_question_an_image(metric: Metric) -> bool:
    """One mean of zeros and ones, each of another image."""
    if len(metric.parts) != 1:
        return False
    (part,) = metric.parts
    return part.weights is None and set(part.values) <= {0.0, 1.0} and len(set(part.clusters)) == len(part.clusters)


def _by_cluster(first: Sequence[MetricPart], combination: LinearCombination) -> NDArray[np.float64]:
    """(k,): each image's part of the difference; they sum to it. A ratio's are centred on the mean of both candidates'
    ratios, which cancels where they share their denominators, as all means do."""
    size = len(first)
    totals = combination.counts.sum(axis=1)
    ratios = combination.sums.sum(axis=1) / totals
    middle = np.tile((ratios[:size] + ratios[size:]) / 2, 2)
    centred = combination.sums - combination.counts * middle[:, None]
    share = combination.coefficients / totals
    shares: NDArray[np.float64] = share[:size] @ centred[:size] + share[size:] @ centred[size:]
    shares[np.abs(shares) < _ROUNDING * float(np.abs(share).max())] = 0.0
    return shares
