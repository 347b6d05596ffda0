"""Exact McNemar and the number of images that a difference needs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fourways.stats import detectable_difference, images_needed, mcnemar_exact, sign_flip_p

answers = st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1])), max_size=40)


def test_mcnemar_agrees_with_trying_every_pattern() -> None:
    """Seven images differ, one of them the other way: patterns at least as uneven, of all 2^7."""
    first, second = [1] * 6 + [0] + [1, 0], [0] * 6 + [1] + [1, 0]
    observed = 5
    extreme = sum(abs(sum(signs)) >= observed for signs in product((-1, 1), repeat=7))
    assert mcnemar_exact(first, second) == pytest.approx(extreme / 2**7)


@given(answers)
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(pairs: list[tuple[int, int]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    b, c = sum(x > y for x, y in pairs), sum(x < y for x, y in pairs)
    expected = 1.0 if b + c == 0 else min(1.0, 2 * stats.binom.cdf(min(b, c), b + c, 0.5))
    assert mcnemar_exact(first, second) == pytest.approx(expected)
    assert mcnemar_exact(second, first) == pytest.approx(expected)


def test_mcnemar_and_the_sign_flips_agree_where_both_are_legitimate() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(80) < 0.8, rng.random(80) < 0.65
    flips = sign_flip_p(first.astype(float) - second.astype(float), seed=1, flips=40_000)
    assert mcnemar_exact(first, second) == pytest.approx(flips, abs=0.01)


@pytest.mark.parametrize(("first", "second"), [([1, 0], [1]), ([0.5], [1]), ([[1]], [[0]])])
def test_mcnemar_refuses_what_it_is_not_for(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError):
        mcnemar_exact(first, second)


@given(st.floats(0.001, 0.5), st.integers(2, 5000), st.floats(0.002, 0.5))
def test_images_needed_is_the_inverse_of_the_detectable_difference(error: float, n: int, difference: float) -> None:
    needed = images_needed(error, n, difference)
    assert images_needed(error, n, -difference) == needed
    assert detectable_difference(error * np.sqrt(n / needed)) <= difference * (1 + 1e-9)
    if needed > 1:
        assert detectable_difference(error * np.sqrt(n / (needed - 1))) > difference * (1 - 1e-9)


def test_the_needed_images_find_the_difference_four_times_in_five() -> None:
    rng = np.random.default_rng(1)
    seen = rng.normal(0.0, 0.5, 100)
    needed = images_needed(float(seen.std(ddof=1) / 10), 100, 0.05)
    samples = rng.normal(0.05, seen.std(ddof=1), (2000, needed))
    z = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / np.sqrt(needed))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("n", "difference"), [(0, 0.1), (10, 0.0)])
def test_a_difference_of_nothing_needs_no_number(n: int, difference: float) -> None:
    with pytest.raises(ValueError, match="needed"):
        images_needed(0.1, n, difference)
