"""Ratios: sum(values) / sum(weights), such as F1 = sum(2 TP) / sum(2 TP + FP + FN)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.stats import (
    LinearCombination,
    Part,
    bootstrap_linear,
    clustered_wilson,
    effective_size,
    paired_interval,
    score_interval,
    standard_error,
)
from fourways.stats.combination import error_freedom

cells = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=25)


def f1(rng: np.random.Generator, images: int, questions: int) -> Part:
    """Yes/no questions, half of them true, answered rightly with an image's own chance."""
    chance = rng.beta(4, 1, size=(images, 1))
    true = rng.random((images, questions)) < 0.5
    said = np.where(rng.random((images, questions)) < chance, true, ~true)
    names = [f"i{i}" for i in range(images) for _ in range(questions)]
    hits, others = (2.0 * (true & said)).ravel(), (true ^ said).astype(float).ravel()
    return Part(1.0, names, hits.tolist(), (hits + others).tolist())


def test_weights_of_one_are_a_mean() -> None:
    rng = np.random.default_rng(0)
    names, right = [f"i{i // 3}" for i in range(60)], rng.random(60).tolist()
    plain, weighted = Part(1.0, names, right), Part(1.0, names, right, [1.0] * 60)
    for of in (lambda c: c.value, standard_error, score_interval, lambda c: bootstrap_linear(c, 1, 20).tolist()):
        assert of(LinearCombination.of([plain])) == pytest.approx(of(LinearCombination.of([weighted])))
    assert effective_size(names, right) == pytest.approx(effective_size(names, right, [1.0] * 60))


def test_f1_is_the_textbook_value() -> None:
    # 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
    values, weights = [2.0] * 3 + [0.0] * 7, [2.0] * 3 + [1.0] * 3 + [0.0] * 4
    combination = LinearCombination.of([Part(1.0, [f"i{i}" for i in range(10)], values, weights)])
    assert combination.value == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert combination.counts.sum() == 9


@given(cells, st.integers(0, 2**32))
@settings(max_examples=60)
def test_clusters_without_weight_never_make_a_number_undefined(
    given_cells: list[tuple[str, int, int]], seed: int
) -> None:
    weights = [float(w) for _, _, w in given_cells]
    values = [float(min(v, w)) for _, v, w in given_cells]
    part = Part(1.0, [name for name, _, _ in given_cells], values, weights)
    if not any(weights):
        with pytest.raises(ValueError, match="all 0"):
            LinearCombination.of([part])
        return
    combination = LinearCombination.of([part])
    drawn = bootstrap_linear(combination, seed, replicates=50)
    found = score_interval(combination)
    assert drawn.shape == (50,) and np.isfinite(drawn).all() and drawn.min() >= 0 and drawn.max() <= 1
    assert np.isfinite(standard_error(combination))
    assert found is None or (-1e-9 <= found.low <= combination.value + 1e-9 <= found.high + 2e-9 <= 1 + 4e-9)


def test_a_cluster_without_weight_or_value_changes_no_value_and_hardly_the_error() -> None:
    rng = np.random.default_rng(1)
    part = f1(rng, 200, 3)
    more = Part(1.0, [*part.clusters, "empty"], [*part.values, 0.0], [*(part.weights or ()), 0.0])
    with_it, without = LinearCombination.of([more]), LinearCombination.of([part])
    assert with_it.value == pytest.approx(without.value)
    assert with_it.clusters == without.clusters + 1
    assert standard_error(with_it) == pytest.approx(standard_error(without), rel=1e-4)


def test_the_error_of_a_ratio_agrees_with_resampling_it() -> None:
    combination = LinearCombination.of([f1(np.random.default_rng(2), 300, 4)])
    assert standard_error(combination) == pytest.approx(np.std(bootstrap_linear(combination, 0)), rel=0.08)


def test_the_error_has_the_freedom_of_its_clusters_or_less() -> None:
    rng = np.random.default_rng(5)
    one = LinearCombination.of([f1(rng, 40, 3)])
    assert error_freedom(one) == pytest.approx(39)
    tiny = Part(1.0, [f"tiny{i}" for i in range(5)], [0.0, 1.0, 0.0, 1.0, 1.0])
    large = Part(1.0, [f"large{i}" for i in range(5000)], (rng.random(5000) < 0.5).astype(float).tolist())
    assert 4 <= error_freedom(LinearCombination.of([tiny, large])) < 4.1


def test_the_interval_of_f1_holds_the_truth() -> None:
    rng = np.random.default_rng(3)
    # P(right) = 4 / 5 for true and false alike: 2 TP = 0.8 n, FP + FN = 0.2 n, so F1 = 0.8.
    found = [clustered_wilson(p.clusters, p.values, p.weights) for p in (f1(rng, 60, 3) for _ in range(400))]
    assert 0.925 <= np.mean([one is not None and one.contains(0.8) for one in found]) <= 0.98


def test_the_difference_of_two_ratios_holds_the_truth() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        first, second = f1(rng, 60, 3), f1(rng, 60, 3)
        minus = Part(-1.0, second.clusters, second.values, second.weights)
        found = paired_interval(LinearCombination.of([first, minus]))
        assert found is not None
        hits += found.contains(0.0)
    assert 0.925 <= hits / 400 <= 0.98


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, float("nan")], [float("inf"), 1.0]])
def test_weights_that_are_no_denominators_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        LinearCombination.of([Part(1.0, ["a", "b"], [0.0, 1.0], weights)])
