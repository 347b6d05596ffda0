"""Runs against runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as judge

from fourways.stats import least_p, permutation_ps, welch


def permutation_p(first: list[float], second: list[float]) -> float:
    """Of a single difference."""
    (p,) = permutation_ps([[x] for x in first], [[x] for x in second], seed=0)
    return p


def test_welch_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(10, 1, 5).tolist(), rng.normal(9, 3, 7).tolist()
    found = welch(first, second)
    low, high = judge.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high))
    assert found.sees is not None and found.sees > (high - low) / 2


def test_five_restarts_each_can_reject_and_the_exact_p_is_two_of_252() -> None:
    assert permutation_p([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(2 / 252)


def test_the_exact_p_agrees_with_scipy() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(0, 1, 5).tolist(), rng.normal(0.5, 1, 5).tolist()
    theirs = judge.permutation_test(
        (first, second), lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis), vectorized=True, n_resamples=np.inf
    )
    assert permutation_p(first, second) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_equal_runs_are_never_separated() -> None:
    assert permutation_p([1.0] * 5, [1.0] * 5) == 1
    assert welch([1.0] * 5, [1.0] * 5) == (0.0, None, None)


def test_many_runs_are_drawn_from_and_the_p_is_never_zero() -> None:
    first, second = [float(i) for i in range(20)], [100.0 + i for i in range(20)]
    assert permutation_p(first, second) == pytest.approx(1 / 10_000)


def test_one_run_carries_no_interval() -> None:
    assert welch([1.0], [2.0, 3.0]).interval is None


def test_of_many_differences_one_is_found_as_often_as_the_level_allows_where_there_is_none() -> None:
    """Fifteen of the same runs, half of them nearly copies: five loads, three times."""
    rng = np.random.default_rng(6)
    rejected = 0
    for _ in range(300):
        runs = rng.normal(0, 1, (10, 15))
        runs[:, 8:] = runs[:, :7] + 0.1 * runs[:, 8:]
        rejected += min(permutation_ps(runs[:5], runs[5:], seed=0)) <= 0.05
    assert rejected / 300 <= 0.08


def test_a_clear_difference_is_found_among_fourteen_others_by_four_runs_each() -> None:
    """Holm's adjustment of exact p-values could not: the least of 4 runs each is 2 / 70, times 15."""
    rng = np.random.default_rng(7)
    runs = rng.normal(100, 1, (8, 15))
    runs[:4, 3] += 1000
    ps = permutation_ps(runs[:4], runs[4:], seed=0)
    assert ps[3] == pytest.approx(least_p(4, 4)) and min(ps[:3] + ps[4:]) > 0.05


@pytest.mark.parametrize(
    ("first", "second", "least"),
    [(5, 5, 2 / 252), (4, 4, 2 / 70), (3, 4, 1 / 35), (20, 20, 1e-4)],
)
def test_the_least_p_is_known_beforehand(first: int, second: int, least: float) -> None:
    assert least_p(first, second) == pytest.approx(least)
    apart = permutation_p([float(i) for i in range(first)], [1000.0 + i for i in range(second)])
    assert apart == pytest.approx(least)
