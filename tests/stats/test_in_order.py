"""Shares and growth of requests that come one after another."""

from __future__ import annotations

import numpy as np
import pytest

from fourways.stats import growth, least_to_keep, share_in_order


@pytest.mark.parametrize(("allowed", "n"), [(0.05, 72), (0.01, 368)])
def test_with_none_missed_the_share_is_below_what_is_allowed_from_the_same_n_on_as_a_quantile_is_defined(
    allowed: float, n: int
) -> None:
    assert least_to_keep(allowed) == n
    for size, kept in ((n, True), (n - 1, False)):
        found = share_in_order([False] * size)
        assert found is not None and (found.high <= allowed) is kept


def test_misses_in_one_clump_say_less_than_misses_spread_out() -> None:
    spread, clump = [i % 20 == 0 for i in range(600)], [i < 30 for i in range(600)]
    thin, wide = share_in_order(spread), share_in_order(clump)
    assert thin is not None and wide is not None
    assert wide.high - wide.low > 3 * (thin.high - thin.low)
    assert thin.contains(0.05) and wide.contains(0.05)


def test_requests_that_come_near_to_it_together_say_less_than_apart_though_none_is_flagged() -> None:
    apart, together = [i % 20 == 0 for i in range(400)], [i // 20 % 5 == 0 for i in range(400)]
    tight, loose = share_in_order([False] * 400, apart), share_in_order([False] * 400, together)
    assert tight is not None and loose is not None
    assert tight.high < 0.01 and loose.high > 0.1


def test_of_nothing_there_is_no_share() -> None:
    assert share_in_order([]) is None


def test_independent_misses_are_held_by_the_interval_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        found = share_in_order((rng.random(300) < 0.1).tolist())
        assert found is not None
        held += found.contains(0.1)
    assert held / 400 >= 0.93


def test_a_random_walk_without_drift_is_not_called_growth_more_often_than_the_level_allows() -> None:
    rng = np.random.default_rng(2)
    when = np.arange(400) / 40
    called = 0
    for _ in range(400):
        found = growth(when, np.cumsum(rng.normal(0, 0.01, 400)))
        assert found is not None
        called += found.interval.low > 0
    assert called / 400 <= 0.05


def test_growth_is_seconds_a_second() -> None:
    when = np.arange(200) / 50
    found = growth(when, 0.1 + 0.05 * when)
    assert found is not None
    assert found.slope == pytest.approx(0.05)
    assert found.interval.low == pytest.approx(0.05) and found.interval.high == pytest.approx(0.05)


def test_too_few_requests_show_no_growth() -> None:
    assert growth(np.arange(19), np.arange(19)) is None
