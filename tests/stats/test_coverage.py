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
    percentile_interval,
    pigeonhole,
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


def test_the_bootstrap_of_a_sum_covers() -> None:
    """acc + acc+ of 40 images with two questions each, as in an MME subtask."""
    rng = np.random.default_rng(10)
    chance = rng.beta(6, 2, size=400_000)
    true = 0.5 * chance.mean() + 0.5 * np.square(chance).mean()
    hits = 0
    for run in range(RUNS):
        right = (rng.random((40, 2)) < rng.beta(6, 2, size=40)[:, None]).astype(float)
        names = [f"i{i}" for i in range(40)]
        answers = Part(0.5, [name for name in names for _ in range(2)], right.ravel().tolist())
        combination = LinearCombination.of([answers, Part(0.5, names, right.min(axis=1).tolist())])
        found = percentile_interval(bootstrap_linear(combination, run, 600), combination.freedom + 1)
        assert found is not None
        hits += found.contains(float(true))
    assert 0.915 <= hits / RUNS <= 0.99


def test_the_bootstrap_of_a_sum_over_tiny_strata_covers() -> None:
    """acc + acc+ of 14 subtasks with three images each: a limited run of MME."""
    rng = np.random.default_rng(14)
    chance = rng.beta(3, 1.5, size=400_000)
    true = 0.5 * chance.mean() + 0.5 * np.square(chance).mean()
    hits = 0
    for run in range(RUNS):
        parts = []
        for task in range(14):
            right = (rng.random((3, 2)) < rng.beta(3, 1.5, size=3)[:, None]).astype(float)
            names = [f"{task}-{i}" for i in range(3)]
            parts.append(Part(0.5 / 14, [name for name in names for _ in range(2)], right.ravel().tolist()))
            parts.append(Part(0.5 / 14, names, right.min(axis=1).tolist()))
        combination = LinearCombination.of(parts)
        found = percentile_interval(bootstrap_linear(combination, run, 600), combination.freedom + 1)
        assert found is not None
        hits += found.contains(float(true))
    assert hits / RUNS >= 0.92


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
