"""Do 95 % intervals hold the truth 95 times in a hundred? Simulated, seeded; bounds leave room for simulation noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator

from fourways.stats import (
    LinearCombination,
    Part,
    bootstrap_linear,
    clustered_wilson,
    paired_interval,
    percentile_interval,
    pigeonhole,
    score_interval,
)

RUNS = 300


def correlated_answers(rng: Generator, images: int, questions: int, mean: float) -> tuple[list[str], list[float]]:
    """Answers whose chance of being right is drawn once an image: Beta with the given mean, intra-image correlation
    1/3."""
    chance = rng.beta(2 * mean, 2 * (1 - mean), size=images)
    right = rng.random((images, questions)) < chance[:, None]
    return [f"i{i}" for i in range(images) for _ in range(questions)], right.astype(float).ravel().tolist()


@pytest.mark.parametrize(("images", "mean"), [(20, 0.5), (60, 0.8), (60, 0.97)])
def test_clustered_wilson_covers(images: int, mean: float) -> None:
    rng = np.random.default_rng(images)
    hits = 0
    for _ in range(RUNS):
        found = clustered_wilson(*correlated_answers(rng, images, 4, mean))
        assert found is not None
        hits += found.contains(mean)
    assert hits / RUNS >= 0.92


def test_ignoring_clusters_would_not_cover() -> None:
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(RUNS):
        names, right = correlated_answers(rng, 60, 8, 0.7)
        found = clustered_wilson(np.arange(len(names)), right)
        assert found is not None
        hits += found.contains(0.7)
    assert hits / RUNS < 0.88


def subtasks(rng: Generator, tasks: int, images: int, sign: float = 1.0) -> list[Part]:
    """acc and acc+ of MME: two questions an image, each right with the image's own chance, Beta(3, 1.5)."""
    parts = []
    for task in range(tasks):
        right = (rng.random((images, 2)) < rng.beta(3, 1.5, size=images)[:, None]).astype(float)
        names = [f"{task}-{i}" for i in range(images)]
        weight = sign / (2 * tasks)
        parts.append(Part(weight, [name for name in names for _ in range(2)], right.ravel().tolist()))
        parts.append(Part(weight, names, right.min(axis=1).tolist()))
    return parts


SUM_OF_BOTH = 0.5 * 3 / 4.5 + 0.5 * (3 / 4.5 * 4 / 5.5)
"""Means of Beta(3, 1.5): of the chance, 3 / 4.5, and of its square."""


@pytest.mark.parametrize(("tasks", "images"), [(1, 40), (14, 3)])
def test_the_bootstrap_of_a_sum_covers_over_tiny_strata_too(tasks: int, images: int) -> None:
    rng = np.random.default_rng(14)
    hits = 0
    for run in range(RUNS):
        combination = LinearCombination.of(subtasks(rng, tasks, images))
        found = percentile_interval(bootstrap_linear(combination, run, 600), combination.freedom + 1)
        assert found is not None
        hits += found.contains(SUM_OF_BOTH)
    assert 0.92 <= hits / RUNS <= 0.985


@pytest.mark.parametrize(("tasks", "images"), [(1, 40), (14, 3), (14, 20)])
def test_the_score_interval_of_a_sum_covers_over_tiny_strata_too(tasks: int, images: int) -> None:
    rng = np.random.default_rng(15)
    found = [score_interval(LinearCombination.of(subtasks(rng, tasks, images))) for _ in range(RUNS)]
    assert 0.92 <= np.mean([one is not None and one.contains(SUM_OF_BOTH) for one in found]) <= 0.985


@pytest.mark.parametrize(("tasks", "images"), [(1, 40), (14, 3), (14, 20)])
def test_the_paired_interval_of_a_sum_covers_over_tiny_strata_too(tasks: int, images: int) -> None:
    rng = np.random.default_rng(16)
    hits = 0
    for _ in range(RUNS):
        both = [*subtasks(rng, tasks, images), *subtasks(rng, tasks, images, sign=-1.0)]
        found = paired_interval(LinearCombination.of(both))
        assert found is not None
        hits += found.contains(0.0)
    assert 0.92 <= hits / RUNS <= 0.985


def test_the_pigeonhole_covers_when_seeds_matter_little() -> None:
    rng = np.random.default_rng(12)
    rows, columns = np.repeat(np.arange(60), 2), np.tile(np.arange(2), 60)
    hits = 0
    for run in range(RUNS):
        gains = 0.4 + 0.5 * rng.normal(size=60)[rows] + 0.3 * rng.normal(size=120)
        found = percentile_interval(pigeonhole(rows, columns, gains.tolist(), run, 400), 60)
        assert found is not None
        hits += found.contains(0.4)
    assert hits / RUNS >= 0.93
