"""Runs against runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as judge

from fourways.stats import permutation_p, welch


def test_welch_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(10, 1, 5).tolist(), rng.normal(9, 3, 7).tolist()
    found = welch(first, second)
    low, high = judge.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high))
    assert found.sees is not None and found.sees > (high - low) / 2


def test_five_restarts_each_can_reject_and_the_exact_p_is_two_of_252() -> None:
    assert permutation_p([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], seed=0) == pytest.approx(2 / 252)


def test_the_exact_p_agrees_with_scipy() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(0, 1, 5).tolist(), rng.normal(0.5, 1, 5).tolist()
    theirs = judge.permutation_test(
        (first, second), lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis), vectorized=True, n_resamples=np.inf
    )
    assert permutation_p(first, second, seed=0) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_equal_runs_are_never_separated() -> None:
    assert permutation_p([1.0] * 5, [1.0] * 5, seed=0) == 1
    assert welch([1.0] * 5, [1.0] * 5) == (0.0, None, None)


def test_many_runs_are_drawn_from_and_the_p_is_never_zero() -> None:
    first, second = [float(i) for i in range(20)], [100.0 + i for i in range(20)]
    assert permutation_p(first, second, seed=0) == pytest.approx(1 / 10_000)


def test_one_run_carries_no_interval() -> None:
    assert welch([1.0], [2.0, 3.0]).interval is None
