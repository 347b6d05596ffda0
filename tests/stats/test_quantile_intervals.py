from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.stats import clustered_quantile_interval, quantile_interval, smallest_n


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
