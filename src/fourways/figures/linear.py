"""Benchmarks' metrics as estimates: one way from a linear combination of means and ratios to value, interval and n."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.benchmarks.contract import Metric, MetricPart
from fourways.figures.definition import Estimate
from fourways.figures.seeds import RESAMPLES
from fourways.stats import LinearCombination, Part, bootstrap_linear, percentile_interval, score_interval

INTERVAL = (
    "Wilson's score interval at the effective size (n / design effect, clusters: images), of a sum on the scale from "
    "its least to its greatest value"
)
BOOTSTRAPPED = (
    "percentile cluster bootstrap over images, stratified by the benchmarks and parts they occur in, "
    f"{RESAMPLES:,} resamples; the score interval at the effective size where no resample varies"
)
ONE_IMAGE = "a part of it rests on a single image"


def has_value(metric: Metric) -> bool:
    """Whether every ratio in it has a denominator."""
    return all(part.weights is None or sum(part.weights) > 0 for part in metric.parts)


def estimate(parts: Sequence[MetricPart]) -> Estimate:
    """The value of sum(coefficient x ratio), its score interval clustered by image, and the number of images."""
    combination = combined(parts)
    if len(parts) > 1 and rests_on_one_image(parts):
        return Estimate(combination.value, None, combination.clusters, ONE_IMAGE)
    return Estimate(combination.value, score_interval(combination), combination.clusters)


def bootstrapped(parts: Sequence[MetricPart], seed: int) -> Estimate:
    """As `estimate`, with a stratified cluster bootstrap: for sums over benchmarks, whose parts have little in
    common."""
    found = estimate(parts)
    if found.interval is None:
        return found
    combination = combined(parts)
    replicates = bootstrap_linear(combination, seed, RESAMPLES)
    if replicates.min() == replicates.max():
        return found
    return Estimate(found.value, percentile_interval(replicates, combination.freedom + 1), found.n)


def combined(parts: Sequence[MetricPart]) -> LinearCombination:
    """The parts as the statistics take them."""
    return LinearCombination.of([Part(p.coefficient, p.clusters, p.values, p.weights) for p in parts])


def rests_on_one_image(parts: Sequence[MetricPart]) -> bool:
    """Whether some part has a single image: how far that part may be off cannot be told, so neither can the whole."""
    return any(len(set(part.clusters)) < 2 for part in parts)
