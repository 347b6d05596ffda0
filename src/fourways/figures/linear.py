"""Benchmarks' metrics as estimates: one way from a linear combination of means to value, interval and n."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.benchmarks.contract import MetricPart
from fourways.figures.definition import Estimate
from fourways.figures.seeds import RESAMPLES
from fourways.stats import (
    Interval,
    LinearCombination,
    Part,
    Term,
    bootstrap_linear,
    clustered_wilson,
    percentile_interval,
    recovered_interval,
)

INTERVAL = (
    "one mean: score interval at the effective size (clusters: images); several: percentile cluster bootstrap over "
    f"images, stratified by the parts they occur in, {RESAMPLES:,} resamples; where no resample varies, recovered from "
    "the parts' score intervals"
)
ONE_IMAGE = "a part of it rests on a single image"


def estimate(parts: Sequence[MetricPart], seed: int) -> Estimate:
    """The value of sum(coefficient x mean), its interval clustered by image, and the number of images."""
    combination = LinearCombination.of([Part(p.coefficient, p.clusters, p.values) for p in parts])
    if len(parts) > 1 and rests_on_one_image(parts):
        return Estimate(combination.value, None, combination.clusters, ONE_IMAGE)
    return Estimate(combination.value, _interval(parts, combination, seed), combination.clusters)


def rests_on_one_image(parts: Sequence[MetricPart]) -> bool:
    """Whether some part has a single image: how far that part may be off cannot be told, so neither can the whole."""
    return any(len(set(part.clusters)) < 2 for part in parts)


def _interval(parts: Sequence[MetricPart], combination: LinearCombination, seed: int) -> Interval | None:
    if len(parts) == 1:
        return _recovered(parts)
    replicates = bootstrap_linear(combination, seed, RESAMPLES)
    if replicates.min() == replicates.max():
        return _recovered(parts)
    return percentile_interval(replicates, combination.freedom + 1)


def _recovered(parts: Sequence[MetricPart]) -> Interval | None:
    """From the parts' own intervals; parts that share images err together. None where a part has no interval."""
    groups: list[tuple[set[str], list[Term]]] = []
    for part in parts:
        interval = clustered_wilson(part.clusters, part.values)
        if interval is None:
            return None
        images = set(part.clusters)
        terms = [Term(part.coefficient, sum(part.values) / len(part.values), interval)]
        for group in [group for group in groups if group[0] & images]:
            groups.remove(group)
            images, terms = images | group[0], group[1] + terms
        groups.append((images, terms))
    return recovered_interval([terms for _, terms in groups])
