from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.stats import clustered_quantile_interval, quantile_interval, quantile_worth, smallest_n


@pytest.mark.parametrize(("q", "n"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_the_smallest_n_is_the_published_one(q: float, n: int) -> None:
    assert smallest_n(q) == n
    assert quantile_interval(list(range(n - 1)), q) is None
    assert quantile_interval(list(range(n)), q) is not None


def test_the_median_of_ten_lies_between_the_second_and_the_ninth_value() -> None:
    # Hahn & Meeker (1991), table A.15a: n = 10, 95 %.
    assert quantile_interval([float(v) for v in range(1, 11)], 0.5) == (2.0, 9.0)


@given(st.lists(st.floats(0, 1e6), min_size=6, max_size=300), st.sampled_from([0.5, 0.9, 0.95]))
def test_an_interval_holds_the_observed_quantile(values: list[float], q: float) -> None:
    found = quantile_interval(values, q)
    if found is not None:
        assert found.low <= float(np.quantile(values, q, method="inverted_cdf")) <= found.high


def test_each_tail_holds_at_most_its_share() -> None:
    rng = np.random.default_rng(1)
    above = below = 0
    for _ in range(2000):
        found = quantile_interval(rng.exponential(size=80).tolist(), 0.95)
        assert found is not None
        true = -np.log(0.05)
        below += found.high < true
        above += found.low > true
    assert below / 2000 <= 0.025 + 0.012
    assert above / 2000 <= 0.025 + 0.012


def test_a_quantile_of_clusters_is_wider_than_one_of_as_many_single_values() -> None:
    rng = np.random.default_rng(2)
    owner = np.repeat(np.arange(100), 20)
    values = rng.normal(size=100)[owner] + 0.1 * rng.normal(size=2000)
    together = clustered_quantile_interval(owner, values, 0.5)
    apart = clustered_quantile_interval(np.arange(2000), values, 0.5)
    assert together is not None and apart is not None
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_a_quantile_of_too_few_clusters_has_no_interval() -> None:
    assert clustered_quantile_interval(np.repeat(np.arange(71), 30), np.arange(71 * 30.0), 0.95) is None


def test_single_values_are_worth_their_number_and_equal_ones_their_clusters() -> None:
    values = [float(v) for v in range(80)]
    assert quantile_worth(range(80), values, 0.5) == 80
    assert quantile_worth([0] * 80, values, 0.5) == 1
    copies = [float(place // 8) for place in range(80)]
    assert quantile_worth(copies, copies, 0.5) == pytest.approx(10, abs=1)
    assert quantile_interval(copies, 0.5, worth=10) == (1.0, 8.0) == quantile_interval([*map(float, range(10))], 0.5)


def test_requests_that_are_served_together_keep_the_level_where_single_ones_lose_it() -> None:
    """Ten rounds of eight whose times hang together: taken one by one, half of the intervals miss the median."""
    rng = np.random.default_rng(0)
    rounds = np.repeat(np.arange(10), 8)
    held = alone = 0
    for _ in range(200):
        values = (rng.normal(size=10)[rounds] + 0.1 * rng.normal(size=80)).tolist()
        found = quantile_interval(values, 0.5, worth=quantile_worth(rounds, values, 0.5))
        one_by_one = quantile_interval(values, 0.5)
        assert found is not None and one_by_one is not None
        held, alone = held + found.contains(0.0), alone + one_by_one.contains(0.0)
    assert held >= 0.95 * 200 and alone < 0.7 * 200


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1e6)), min_size=1, max_size=90), st.floats(0.05, 0.99))
def test_values_are_never_worth_more_than_they_are(pairs: list[tuple[int, float]], q: float) -> None:
    clusters, values = [c for c, _ in pairs], [v for _, v in pairs]
    worth = quantile_worth(clusters, values, q)
    assert 1 <= worth <= len(values)
    found = quantile_interval(values, q, worth=worth)
    assert found is None or found.low <= float(np.quantile(values, q, method="inverted_cdf")) <= found.high
