"""Score intervals against published values, the exact test they invert, and what must hold of any interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fourways.stats import (
    LinearCombination,
    Part,
    clustered_wilson,
    paired_interval,
    score_interval,
    standard_error,
    tango,
    wilson,
)

counts = st.integers(0, 60)
pairs = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.6, 1.0])),
    min_size=1,
    max_size=40,
)


def one_question_an_image(first: list[float], second: list[float]) -> LinearCombination:
    names = [f"i{i}" for i in range(len(first))]
    return LinearCombination.of([Part(1.0, names, first), Part(-1.0, names, second)])


def test_tango_gives_the_published_interval() -> None:
    # Tango (1998), the example of soft contact lenses: 1 of 44 pairs differs; 90 %.
    low, high = tango(0, 1, 44, level=0.9)
    assert (round(low, 3), round(high, 3)) == (-0.096, 0.037)


@given(counts, counts, counts)
@settings(max_examples=60)
def test_tango_leaves_out_no_difference_exactly_where_mcnemars_score_test_rejects(b: int, c: int, same: int) -> None:
    """At a difference of 0 the score statistic is McNemar's (b - c) / sqrt(b + c)."""
    if b + c == 0:
        return
    statistic = (b - c) ** 2 / (b + c)
    if abs(statistic - stats.chi2.ppf(0.95, 1)) > 1e-6:
        assert tango(b, c, b + c + same).contains(0.0) == (statistic < stats.chi2.ppf(0.95, 1))


@given(counts, counts, st.integers(1, 60))
def test_tango_mirrors_when_the_candidates_change_places(b: int, c: int, same: int) -> None:
    n = b + c + same
    low, high = tango(b, c, n)
    assert -1 <= low <= (b - c) / n <= high <= 1
    assert tango(c, b, n) == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize(("b", "c", "n"), [(7, 2, 30), (1, 12, 20), (3, 3, 10), (10, 0, 10)])
def test_the_ends_are_where_the_likelihoods_score_statistic_is_the_normal_quantile(b: int, c: int, n: int) -> None:
    """The restricted maximum is found by trying shares, not by the closed form."""
    for end in tango(b, c, n):
        if abs(end) == 1:
            continue
        shares = np.linspace(max(0.0, -end), (1 - end) / 2, 400_001)[1:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = b * np.log(shares + end) + (n - b - c) * np.log(1 - 2 * shares - end)
            likelihood += c * np.log(shares) if c else 0.0
        second = float(shares[np.nanargmax(likelihood)])
        statistic = (b - c - n * end) / np.sqrt(n * (2 * second + end - end**2))
        assert abs(statistic) == pytest.approx(1.96, abs=0.01)


def test_tango_refuses_more_discordant_pairs_than_pairs() -> None:
    with pytest.raises(ValueError, match="among"):
        tango(3, 3, 5)


def test_with_one_answer_an_image_the_paired_interval_is_tangos() -> None:
    first, second = [1.0] * 12 + [0.0] * 3 + [1.0] * 15, [0.0] * 12 + [1.0] * 3 + [1.0] * 15
    assert paired_interval(one_question_an_image(first, second)) == pytest.approx(tango(12, 3, 30))


def test_candidates_that_never_differ_are_still_not_known_to_be_equal() -> None:
    same = [1.0, 0.0] * 50
    low, high = paired_interval(one_question_an_image(same, same)) or (0.0, 0.0)
    assert high == pytest.approx(-low) == pytest.approx(1.96**2 / (100 + 1.96**2), rel=1e-3)


def test_copies_of_a_question_make_no_paired_interval_narrower() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.7, rng.random(60) < 0.6
    names = [f"i{i}" for i in range(60)]
    once = LinearCombination.of([Part(1.0, names, first.tolist()), Part(-1.0, names, second.tolist())])
    thrice = LinearCombination.of(
        [Part(1.0, names * 3, first.tolist() * 3), Part(-1.0, names * 3, second.tolist() * 3)]
    )
    assert paired_interval(once) == pytest.approx(paired_interval(thrice))


def test_with_many_answers_the_paired_interval_is_students() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(40)[:, None]
    first, second = rng.random((40, 50)) < chance, rng.random((40, 50)) < 0.8 * chance
    names = [f"i{i}" for i in range(40) for _ in range(50)]
    combination = LinearCombination.of(
        [Part(1.0, names, first.ravel().tolist()), Part(-1.0, names, second.ravel().tolist())]
    )
    half = stats.t.ppf(0.975, 39) * standard_error(combination)
    low, high = paired_interval(combination) or (0.0, 0.0)
    assert (low, high) == pytest.approx((combination.value - half, combination.value + half), abs=0.1 * half)


@given(pairs)
def test_paired_intervals_hold_the_difference_and_mirror(given_pairs: list[tuple[str, float, float]]) -> None:
    names = [name for name, _, _ in given_pairs]
    one, other = [a for _, a, _ in given_pairs], [b for _, _, b in given_pairs]
    forward = LinearCombination.of([Part(2.0, names, one), Part(-2.0, names, other)])
    backward = LinearCombination.of([Part(2.0, names, other), Part(-2.0, names, one)])
    found, mirrored = paired_interval(forward), paired_interval(backward)
    if len(set(names)) < 2:
        assert found is None
        return
    assert found is not None and mirrored is not None
    assert -2 - 1e-9 <= found.low <= forward.value + 1e-9 <= found.high + 2e-9 <= 2 + 4e-9
    assert found.low < found.high
    assert mirrored == pytest.approx((-found.high, -found.low), abs=1e-9)


@given(pairs, st.floats(0.1, 5), st.floats(0.1, 5))
def test_a_sums_interval_stays_within_what_the_sum_can_be(
    given_pairs: list[tuple[str, float, float]], first: float, second: float
) -> None:
    names = [name for name, _, _ in given_pairs]
    parts = [Part(first, names, [a for _, a, _ in given_pairs]), Part(second, names, [b for _, _, b in given_pairs])]
    combination = LinearCombination.of(parts)
    found = score_interval(combination)
    if found is not None:
        assert -1e-9 <= found.low <= combination.value + 1e-9
        assert combination.value - 1e-9 <= found.high <= first + second + 1e-9


def test_a_sums_interval_scales_with_its_coefficient() -> None:
    rng = np.random.default_rng(2)
    names, right = [f"i{i // 4}" for i in range(200)], (rng.random(200) < 0.8).tolist()
    low, high = clustered_wilson(names, right) or (0.0, 0.0)
    assert score_interval(LinearCombination.of([Part(200.0, names, right)])) == pytest.approx((200 * low, 200 * high))
    assert score_interval(LinearCombination.of([Part(-1.0, names, right)])) == pytest.approx((-high, -low))


def test_two_halves_of_one_mean_have_the_interval_of_the_whole() -> None:
    names = [f"i{i}" for i in range(30)]
    right = [1.0] * 24 + [0.0] * 6
    halves = LinearCombination.of([Part(0.5, names, right), Part(0.5, names, right)])
    assert score_interval(halves) == pytest.approx(wilson(0.8, 30))


def test_no_interval_without_more_clusters_than_strata() -> None:
    alone = LinearCombination.of([Part(1.0, ["a"], [1.0]), Part(1.0, ["b"], [0.0])])
    assert score_interval(alone) is None
    assert paired_interval(alone) is None
