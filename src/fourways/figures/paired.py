"""Candidates two by two on the same samples: how far apart, and could this n have told (rule 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from fourways.benchmarks.contract import MetricPart
from fourways.core.figure import Figure
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.linear import ONE_IMAGE, rests_on_one_image
from fourways.figures.seeds import RESAMPLES, seed_for
from fourways.stats import (
    LinearCombination,
    Part,
    bootstrap_linear,
    detectable_difference,
    holm,
    percentile_interval,
    sign_flip_p,
    standard_error,
)

Rows = TypeVar("Rows")

DIFFERENCE = Definition(
    "aggregate_difference",
    "accuracy",
    "fraction",
    "none",
    "images",
    "aggregate of the candidate minus that of `versus`, over the samples that both were asked",
    f"paired percentile cluster bootstrap over images, {RESAMPLES:,} resamples; separated where the sign-flip "
    "permutation test, Holm-adjusted over all pairs, gives p < 0.05; a difference is seen with 80 % power at that "
    "level unadjusted",
)
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Pair:
    """The parts of two linear combinations over the same samples; equal cluster labels are the same image."""

    first: Sequence[MetricPart]
    second: Sequence[MetricPart]


@dataclass(frozen=True, slots=True)
class Compared:
    """A difference with its interval, p-value and the least difference that could have been seen."""

    estimate: Estimate
    p: float
    sees: float


def compare_pairs(rows: Mapping[str, Rows], pair: Callable[[Rows, Rows], Pair | None]) -> Iterator[Figure]:
    """A figure for each two candidates, labelled with the other's name and a verdict in words."""
    compared: dict[tuple[str, str], Compared] = {}
    for first, second in combinations(rows, 2):
        parts = pair(rows[first], rows[second])
        if parts is None:
            yield absent(DIFFERENCE, first, "undefined", "no samples in common", {"versus": second})
        else:
            compared[first, second] = _compare(parts, seed_for(DIFFERENCE.id))
    adjusted = holm([result.p for result in compared.values()])
    for ((first, second), result), p in zip(compared.items(), adjusted, strict=True):
        labels = {"versus": second, "verdict": _verdict(first, second, result, p), "p (Holm)": f"{p:.4f}"}
        yield figure(DIFFERENCE, first, result.estimate, labels)


def _compare(pair: Pair, seed: int) -> Compared:
    minus = [replace(part, coefficient=-part.coefficient) for part in pair.second]
    parts = [Part(p.coefficient, p.clusters, p.values) for p in (*pair.first, *minus)]
    combination = LinearCombination.of(parts)
    alone = rests_on_one_image(pair.first)
    drawn = bootstrap_linear(combination, seed, RESAMPLES)
    interval = None if alone else percentile_interval(drawn, combination.freedom + 1)
    error = standard_error(combination)
    estimate = Estimate(combination.value, interval, combination.clusters, ONE_IMAGE if alone else None)
    # The means of both sides share their denominators, so the difference is a sum of one term a cluster.
    terms = (combination.coefficients / combination.counts.sum(axis=1)) @ combination.sums
    return Compared(estimate, sign_flip_p(terms, seed), detectable_difference(error))


def _verdict(first: str, second: str, result: Compared, p: float) -> str:
    if p < SIGNIFICANT:
        ahead, behind = (first, second) if result.estimate.value > 0 else (second, first)
        return f"{ahead} is ahead of {behind}"
    if result.sees < 1e-9:
        return "not separated (every answer scored the same)"
    return f"not separated (this n sees differences of {100 * result.sees:.1f} pp or more)"
