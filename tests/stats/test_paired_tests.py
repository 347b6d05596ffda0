from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fourways.stats import detectable_difference, holm, sign_flip_p


def test_no_difference_is_never_significant() -> None:
    assert sign_flip_p(np.zeros(50), seed=0) == 1.0


def test_a_difference_that_all_clusters_share_has_the_exact_p_value() -> None:
    # All of 10 signs equal: 2 of 1,024 sign patterns are as extreme.
    assert sign_flip_p(np.ones(10), seed=0, flips=50_000) == pytest.approx(2 / 1024, rel=0.25)


def test_the_smallest_p_value_is_not_zero_and_not_below_the_exact_one() -> None:
    for k in (20, 200):
        assert 2.0 ** (1 - k) < sign_flip_p(np.ones(k), seed=0, flips=99) < 0.01


def test_a_bound_below_the_flips_own_is_valid_for_sizes_of_any_kind() -> None:
    """Against the exact share of all 2^12 flips."""
    rng = np.random.default_rng(4)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 12)).reshape(12, -1).T
    for case in range(20):
        moving = rng.exponential(size=12)
        exact = float((np.abs(signs @ moving) >= abs(moving.sum()) - 1e-9).mean())
        assert sign_flip_p(moving, seed=case, flips=9) >= exact


@pytest.mark.parametrize(("alike", "other"), [(20, 0), (30, 3), (200, 0)])
def test_where_no_flip_is_as_extreme_the_p_value_stays_above_the_exact_one(alike: int, other: int) -> None:
    found = sign_flip_p(np.r_[np.ones(alike), -np.ones(other)], seed=0, flips=999)
    assert 2 * stats.binom.cdf(other, alike + other, 0.5) <= found <= 1 / 1000


def test_p_values_are_uniform_where_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(0)
    found = [sign_flip_p(rng.choice([-1.0, 0.0, 1.0], size=60), seed=i, flips=499) for i in range(300)]
    assert 0.02 <= np.mean(np.asarray(found) < 0.05) <= 0.085


def test_holm_gives_the_textbook_values() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.asarray(adjusted)[order]) >= 0).all()


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(1)
    size = detectable_difference(0.1)
    assert np.mean(np.abs(rng.normal(size, 0.1, 20_000)) > 1.96 * 0.1) == pytest.approx(0.8, abs=0.01)
