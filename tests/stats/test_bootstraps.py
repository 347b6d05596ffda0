from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.stats import (
    LinearCombination,
    Part,
    bootstrap_linear,
    percentile_interval,
    pigeonhole,
    standard_error,
    t_interval,
)
from fourways.stats.bootstrap import bootstrap_totals

values = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 1)), min_size=1, max_size=20)
parts = st.lists(
    st.builds(
        lambda c, pairs: Part(c, [name for name, _ in pairs], [value for _, value in pairs]), st.floats(-3, 3), values
    ),
    min_size=1,
    max_size=4,
)


@given(parts)
@settings(max_examples=60)
def test_the_value_is_the_sum_of_coefficients_times_means(given_parts: list[Part]) -> None:
    combination = LinearCombination.of(given_parts)
    expected = sum(p.coefficient * float(np.mean(p.values)) for p in given_parts)
    assert combination.value == pytest.approx(expected, abs=1e-9)


@given(parts, st.integers(0, 2**32))
@settings(max_examples=40)
def test_resamples_stay_within_what_the_clusters_can_give(given_parts: list[Part], seed: int) -> None:
    drawn = bootstrap_linear(LinearCombination.of(given_parts), seed, replicates=50)
    low = sum(min(p.coefficient * v for v in p.values) for p in given_parts)
    high = sum(max(p.coefficient * v for v in p.values) for p in given_parts)
    assert drawn.shape == (50,)
    assert np.isfinite(drawn).all()
    assert low - 1e-9 <= drawn.min() and drawn.max() <= high + 1e-9


def test_the_same_seed_gives_the_same_resamples() -> None:
    combination = LinearCombination.of([Part(1.0, list("abcd"), [0.0, 1.0, 1.0, 0.0])])
    assert np.array_equal(bootstrap_linear(combination, 7), bootstrap_linear(combination, 7))
    assert not np.array_equal(bootstrap_linear(combination, 7), bootstrap_linear(combination, 8))


def test_a_cluster_in_two_parts_moves_both_at_once() -> None:
    """acc and acc+ of the same images rise and fall together; treated as strangers, the interval would be too
    narrow."""
    rng = np.random.default_rng(3)
    right = (rng.random(300) < 0.5).astype(float).tolist()
    same = LinearCombination.of([Part(0.5, [f"i{i}" for i in range(300)], right)] * 2)
    strangers = LinearCombination.of(
        [Part(0.5, [f"{half}{i}" for i in range(300)], right) for half in ("first", "second")]
    )
    assert np.std(bootstrap_linear(same, 0)) > 1.3 * np.std(bootstrap_linear(strangers, 0))


def test_a_candidate_minus_itself_never_differs() -> None:
    rng = np.random.default_rng(4)
    names, right = [f"i{i // 3}" for i in range(90)], rng.random(90).tolist()
    nothing = LinearCombination.of([Part(1.0, names, right), Part(-1.0, names, right)])
    assert np.abs(bootstrap_linear(nothing, 0)).max() < 1e-12
    assert standard_error(nothing) < 1e-12


def test_the_standard_error_agrees_with_the_resamples() -> None:
    rng = np.random.default_rng(5)
    names = [f"i{i // 4}" for i in range(1200)]
    right = (rng.random(300)[np.arange(1200) // 4] < 0.6).astype(float)
    combination = LinearCombination.of([Part(1.0, names, right.tolist())])
    assert standard_error(combination) == pytest.approx(np.std(bootstrap_linear(combination, 0)), rel=0.08)


def test_a_part_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="needs values"):
        LinearCombination.of([Part(1.0, [], [])])


def test_a_resample_varies_as_much_as_the_standard_error_says_in_small_strata() -> None:
    rng = np.random.default_rng(13)
    small = [Part(0.1, [f"{task}-{i}" for i in range(3)], rng.random(3).tolist()) for task in range(10)]
    combination = LinearCombination.of(small)
    assert combination.freedom == 20
    assert np.std(bootstrap_linear(combination, 0)) == pytest.approx(standard_error(combination), rel=0.08)


@pytest.mark.parametrize("clusters", [300, 6000])
def test_totals_are_drawn_with_the_spread_of_resampled_clusters(clusters: int) -> None:
    """Above 5,000 clusters they are not resampled but drawn from the normal distribution with these moments."""
    rng = np.random.default_rng(8)
    columns = np.column_stack([rng.random(clusters), rng.random(clusters) < 0.1]).astype(float)
    columns[:, 1] += columns[:, 0]
    drawn = np.concatenate(list(bootstrap_totals(columns, 1, 4000)))
    assert drawn.shape == (4000, 2)
    assert drawn.mean(axis=0) == pytest.approx(columns.sum(axis=0), rel=0.005)
    expected = np.cov(columns, rowvar=False) * clusters
    assert np.cov(drawn, rowvar=False) == pytest.approx(expected, rel=0.08)


def test_more_training_seeds_narrow_a_crossed_interval() -> None:
    rng = np.random.default_rng(6)

    def width(seeds: int) -> float:
        effect = rng.normal(scale=0.3, size=seeds)
        rows, columns = np.repeat(np.arange(80), seeds), np.tile(np.arange(seeds), 80)
        found = percentile_interval(
            pigeonhole(rows, columns, (effect[columns] + rng.normal(size=80 * seeds)).tolist(), 0), 80
        )
        assert found is not None
        return found.high - found.low

    assert np.mean([width(16) for _ in range(8)]) < np.mean([width(4) for _ in range(8)])


def test_a_crossed_layout_may_have_holes() -> None:
    drawn = pigeonhole(["a", "b", "c"], [0, 1, 2], [0.0, 0.5, 1.0], seed=0, replicates=300)
    assert drawn.shape == (300,) and np.isfinite(drawn).all()


def test_one_cluster_has_no_percentile_interval() -> None:
    assert percentile_interval(np.ones(10), clusters=1) is None


def test_students_interval_is_the_textbook_one() -> None:
    found = t_interval([1.0, 2.0, 3.0])
    assert found is not None
    assert (round(found.low, 3), round(found.high, 3)) == (-0.484, 4.484)
    assert t_interval([1.0]) is None
    assert t_interval([5.0, 5.0, 5.0]) == (5.0, 5.0)
