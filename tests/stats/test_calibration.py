from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.stats import (
    brier,
    calibration_error,
    calibration_error_interval,
    confidence_auroc,
    debiased_calibration_error,
    reliability_bins,
)
from fourways.stats.calibration import equal_mass_bins

replies = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]) | st.floats(0, 1), st.sampled_from([0.0, 0.3, 1.0])),
    min_size=1,
    max_size=80,
)


def calibrated(rng: np.random.Generator, n: int) -> tuple[list[float], list[float]]:
    said = rng.beta(4, 2, size=n)
    return said.tolist(), (rng.random(n) < said).astype(float).tolist()


def test_distinct_confidences_make_bins_of_equal_size() -> None:
    codes = equal_mass_bins(np.linspace(0, 1, 300))
    assert np.bincount(codes).tolist() == [20] * 15
    assert (np.diff(codes) >= 0).all()


@pytest.mark.parametrize(("n", "bins"), [(9, 1), (25, 2), (149, 14), (1000, 15)])
def test_few_answers_make_fewer_bins(n: int, bins: int) -> None:
    assert int(equal_mass_bins(np.linspace(0, 1, n)).max()) + 1 == bins


@given(replies)
def test_answers_of_equal_confidence_share_a_bin_and_bins_rise(given_replies: list[tuple[float, float]]) -> None:
    said = np.asarray([c for c, _ in given_replies])
    codes = equal_mass_bins(said)
    order = np.argsort(said, kind="stable")
    assert (np.diff(codes[order]) >= 0).all()
    assert all(len(set(codes[said == value])) == 1 for value in set(said.tolist()))
    assert set(codes.tolist()) == set(range(int(codes.max()) + 1))


def test_the_error_by_hand() -> None:
    # Twenty answers, two bins: said 0.6 with 5 of 10 right, said 0.9 with 10 of 10 right.
    said, right = [0.6] * 10 + [0.9] * 10, [1.0] * 5 + [0.0] * 5 + [1.0] * 10
    assert calibration_error(said, right) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)
    low, high = reliability_bins(said, right)
    assert (low.low, low.high, low.correct, low.n) == (0.6, 0.6, 0.5, 10)
    assert (high.confidence, high.correct) == pytest.approx((0.9, 1.0))
    found = brier(said, right)
    assert found.score == pytest.approx((5 * 0.16 + 5 * 0.36 + 10 * 0.01) / 20)
    assert found.reliability == pytest.approx(0.01)
    assert found.resolution == pytest.approx(0.25**2)
    assert found.uncertainty == pytest.approx(0.75 * 0.25)
    assert found.within == pytest.approx(0, abs=1e-12)


@given(replies)
def test_what_must_hold_of_any_replies(given_replies: list[tuple[float, float]]) -> None:
    said, right = [c for c, _ in given_replies], [r for _, r in given_replies]
    found = brier(said, right)
    terms = found.reliability - found.resolution + found.uncertainty + found.within
    assert found.score == pytest.approx(terms, abs=1e-12)
    assert 0 <= calibration_error(said, right) <= 1
    assert calibration_error(said, right) ** 2 <= found.reliability + 1e-9
    bins = reliability_bins(said, right)
    assert sum(one.n for one in bins) == len(said)
    assert sum(one.n * abs(one.correct - one.confidence) for one in bins) == pytest.approx(
        len(said) * calibration_error(said, right), abs=1e-9
    )


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.4, 0.8]), st.booleans()), min_size=2, max_size=12))
def test_auroc_counts_pairs(given_replies: list[tuple[float, bool]]) -> None:
    said, right = [c for c, _ in given_replies], [float(r) for _, r in given_replies]
    good, bad = ([c for c, r in given_replies if r is side] for side in (True, False))
    found = confidence_auroc(said, right)
    if not good or not bad:
        assert found is None
        return
    wins = sum((a > b) + 0.5 * (a == b) for a, b in product(good, bad))
    assert found == pytest.approx(wins / (len(good) * len(bad)))


def test_the_error_of_a_perfect_model_is_above_zero_and_the_debiased_one_less_so() -> None:
    rng = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(60):
        said, right = calibrated(rng, 300)
        plain.append(calibration_error(said, right))
        debiased.append(debiased_calibration_error(np.arange(300), said, right) or 0.0)
    assert np.mean(plain) > 0.05
    assert np.mean(debiased) < 0.6 * np.mean(plain)


def test_the_debiased_square_is_right_on_average_for_clustered_answers() -> None:
    """Confidence 0.8 always, two answers an image that are the same, right with chance 0.7: the square of 0.1."""
    rng = np.random.default_rng(1)
    owner, said = np.repeat(np.arange(500), 2), np.full(1000, 0.8)
    found = []
    for _ in range(60):
        right = np.repeat(rng.random(500) < 0.7, 2).astype(float)
        found.append(debiased_calibration_error(owner, said, right) or 0.0)
    assert np.mean(np.square(found)) == pytest.approx(0.01, rel=0.15)


def test_the_interval_reflects_the_upward_bias() -> None:
    """A perfectly calibrated model: the interval reaches nearer to 0 than the error, and resamples, ever are."""
    rng = np.random.default_rng(2)
    lows, errors = [], []
    for seed in range(60):
        said, right = calibrated(rng, 300)
        found = calibration_error_interval(np.arange(300), said, right, seed, replicates=300)
        assert found is not None and 0 <= found.low <= found.high
        lows.append(found.low)
        errors.append(calibration_error(said, right))
    assert np.median(lows) < 0.25 * np.median(errors)
    assert np.mean(np.asarray(lows) == 0) > 0.2


def test_the_interval_of_a_badly_calibrated_model_holds_the_truth() -> None:
    """Always 0.9, right with an image's own chance of 0.6 on average: an error of 0.3."""
    rng = np.random.default_rng(3)
    owner, hits = np.repeat(np.arange(80), 4), 0
    for seed in range(200):
        right = (rng.random((80, 4)) < rng.beta(3, 2, size=(80, 1))).astype(float).ravel()
        found = calibration_error_interval(owner, np.full(320, 0.9), right, seed, replicates=300)
        assert found is not None
        hits += found.contains(0.3)
    assert 0.89 <= hits / 200 <= 0.99


def test_one_image_has_no_interval() -> None:
    assert calibration_error_interval(["a", "a"], [0.5, 0.6], [1.0, 0.0], seed=0) is None
    assert debiased_calibration_error(["a", "a"], [0.5, 0.6], [1.0, 0.0]) is None


@pytest.mark.parametrize(
    ("said", "right"), [([], []), ([0.5], [1.0, 0.0]), ([1.2], [1.0]), ([0.5], [2.0]), ([float("nan")], [1.0])]
)
def test_what_is_no_confidence_is_refused(said: list[float], right: list[float]) -> None:
    with pytest.raises(ValueError):
        calibration_error(said, right)
