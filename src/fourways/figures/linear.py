"""Benchmarks' metrics as estimates: one way from a linear combination of means to value, interval and n."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.benchmarks.contract import MetricPart
from fourways.figures.definition import Estimate
from fourways.stats import (
    Interval,
    LinearCombination,
    Part,
    bootstrap_linear,
    clustered_wilson,
    percentile_interval,
)

INTERVAL = (
    "one mean: score interval at the effective size (clusters: images); several: percentile cluster bootstrap over "
    "images, stratified by the parts they occur in, 2000 resamples; where no resample varies, the sum of the parts' "
    "score intervals"
)


def estimate(parts: Sequence[MetricPart], seed: int) -> Estimate:
    """The value of sum(coefficient x mean), its interval clustered by image, and the number of images."""
    combination = LinearCombination.of([Part(p.coefficient, p.clusters, p.values) for p in parts])
    return Estimate(combination.value, _interval(parts, combination, seed), combination.clusters)


def _interval(parts: Sequence[MetricPart], combination: LinearCombination, seed: int) -> Interval | None:
    if len(parts) == 1 and parts[0].coefficient > 0:
        return _scaled([clustered_wilson(parts[0].clusters, parts[0].values)], parts)
    replicates = bootstrap_linear(combination, seed)
    if replicates.min() == replicates.max():
        return _scaled([clustered_wilson(p.clusters, p.values) for p in parts], parts)
    return percentile_interval(replicates, combination.clusters)


def _scaled(intervals: Sequence[Interval | None], parts: Sequence[MetricPart]) -> Interval | None:
    """The sum of coefficient x interval: cautious, as if all parts erred together."""
    low = high = 0.0
    for found, part in zip(intervals, parts, strict=True):
        if found is None:
            return None
        ends = sorted((part.coefficient * found.low, part.coefficient * found.high))
        low, high = low + ends[0], high + ends[1]
    return Interval(low, high)
