from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.stats import clustered_wilson, effective_size, wilson

shares = st.floats(0, 1)


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263.
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@given(shares, st.floats(0.5, 1e6))
def test_wilson_holds_the_mean_and_stays_in_the_unit_interval(mean: float, n: float) -> None:
    low, high = wilson(mean, n)
    assert 0 <= low <= mean <= high <= 1
    assert low < high


@given(shares, st.integers(2, 1000))
def test_wilson_narrows_with_n(mean: float, n: int) -> None:
    few, many = wilson(mean, n), wilson(mean, 4 * n)
    assert many.high - many.low < few.high - few.low


def test_wilson_refuses_an_empty_sample() -> None:
    with pytest.raises(ValueError, match="positive"):
        wilson(0.5, 0)


def test_copies_within_a_cluster_add_no_information() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random(400) < 0.7).astype(float)
    once = effective_size(np.arange(400), values)
    thrice = effective_size(np.repeat(np.arange(400), 3), np.repeat(values, 3))
    assert thrice == pytest.approx(once)
    assert once == pytest.approx(399, rel=0.01)


def test_one_answer_a_cluster_is_a_plain_binomial_sample() -> None:
    """Nothing about clumps is estimated, so nothing is taken off for it: Wilson's own interval."""
    values = [1.0] * 26 + [0.0] * 4
    assert effective_size(np.arange(30), values) == pytest.approx(30)
    assert clustered_wilson(np.arange(30), values) == pytest.approx(wilson(26 / 30, 30))


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_where_hardly_a_cluster_differs_the_number_of_clusters_is_granted(odd: int) -> None:
    """A model that nearly always says yes gets one of each image's two questions right; two images cannot tell more."""
    names = np.repeat(np.arange(50), 2)
    values = np.asarray([(1.0, 1.0) if i < odd else (1.0, 0.0) for i in range(50)]).ravel()
    assert effective_size(names, values) == pytest.approx(50)


def test_whole_clusters_of_unequal_size_are_granted_less_than_their_number() -> None:
    names = ["big"] * 8 + ["a", "b", "c", "d"]
    assert effective_size(names, [1.0] * 12) == pytest.approx(12**2 / (8**2 + 4))


def test_clusters_that_are_all_right_still_leave_room_for_doubt() -> None:
    low, high = clustered_wilson(list("aabbcc"), [1.0] * 6) or (None, None)
    assert high == 1.0
    assert low is not None and low < 0.5


def test_one_cluster_has_no_interval() -> None:
    assert clustered_wilson(["a", "a"], [0.0, 1.0]) is None


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), shares), min_size=1, max_size=60))
def test_clustered_wilson_holds_the_mean(pairs: list[tuple[str, float]]) -> None:
    found = clustered_wilson([name for name, _ in pairs], [value for _, value in pairs])
    mean = float(np.mean([value for _, value in pairs]))
    if found is not None:
        assert -1e-9 <= found.low <= mean + 1e-9
        assert mean - 1e-9 <= found.high <= 1 + 1e-9
