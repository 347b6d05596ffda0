"""Benchmarks' metrics as estimates: one way from a linear combination of means to value, interval and n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fourways.benchmarks.contract import MetricPart
from fourways.figures.definition import Estimate
from fourways.figures.seeds import RESAMPLES
from fourways.stats import (
    Interval,
    LinearCombination,
    Part,
    Term,
    bootstrap_linear,
    percentile_interval,
    recovered_interval,
    score_interval,
)

INTERVAL = (
    "one mean or ratio: score interval at the effective size (clusters: images); several: percentile cluster bootstrap over "
    f"images, stratified by the parts they occur in, {RESAMPLES:,} resamples; where no resample varies, recovered from "
    "the parts' score intervals"
)
ONE_IMAGE = "a part of it rests on a single image"


def estimate(parts: Sequence[MetricPart], seed: int) -> Estimate:
    """The value of sum(coefficient x mean), its interval clustered by image, and the number of images."""
    combination = combined(parts)
    if len(parts) > 1 and rests_on_one_image(parts):
        return Estimate(combination.value, None, combination.clusters, ONE_IMAGE)
    return Estimate(combination.value, _interval(parts, combination, seed), combination.clusters)


def combined(parts: Sequence[MetricPart]) -> LinearCombination:
    """The parts as the statistics take them."""
    return LinearCombination.of([Part(p.coefficient, p.clusters, p.values, p.weights) for p in parts])


def combined(parts: Sequence[MetricPart]) -> LinearCombination:
    """Sums and denominators of all parts by image."""
    return LinearCombination.of([Part(p.coefficient, p.clusters, p.values, p.weights) for p in parts])


def rests_on_one_image(parts: Sequence[MetricPart]) -> bool:
    """Whether some part has a single image: how far that part may be off cannot be told, so neither can the whole."""
    return any(len(set(part.clusters)) < 2 for part in parts)


def _interval(parts: Sequence[MetricPart], combination: LinearCombination, seed: int) -> Interval | None:
    if len(parts) == 1:
        return score_interval(combination)
    replicates = bootstrap_linear(combination, seed, RESAMPLES)
    if replicates.min() == replicates.max():
        return _recovered(parts)
    return percentile_interval(replicates, combination.freedom + 1)


def _recovered(parts: Sequence[MetricPart]) -> Interval | None:
    """From the parts' own intervals; parts that share images err together. None where a part has no interval."""
    groups: list[tuple[set[str], list[Term]]] = []
    for part in parts:
        alone = combined([replace(part, coefficient=1.0)])
        interval = score_interval(alone)
        if interval is None:
            return None
        images = set(part.clusters)
        terms = [Term(part.coefficient, alone.value, interval)]
        for group in [group for group in groups if group[0] & images]:
            groups.remove(group)
            images, terms = images | group[0], group[1] + terms
        groups.append((images, terms))
    return recovered_interval([terms for _, terms in groups])
