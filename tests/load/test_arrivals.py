"""When the requests of an open loop are due."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fourways.core.load import Load
from fourways.load import instants

rates = st.floats(0.01, 1e4)
counts = st.integers(0, 300)
seeds = st.integers(0, 2**63 - 1)


@given(rate=rates, count=counts, seed=seeds)
def test_constant_arrivals_are_the_multiples_of_the_gap_and_add_up_no_error(rate: float, count: int, seed: int) -> None:
    assert instants(Load("constant", None, rate), count, seed) == [index / rate for index in range(count)]


@given(load=st.builds(Load, st.just("poisson"), st.none(), rates), count=counts, more=counts, seed=seeds)
def test_more_poisson_arrivals_only_add_points(load: Load, count: int, more: int, seed: int) -> None:
    assert instants(load, count + more, seed)[:count] == instants(load, count, seed)


@given(first=st.floats(0, 1e3), last=st.floats(0.01, 1e3), count=st.integers(1, 300))
def test_a_ramp_has_sent_as_many_as_the_integral_of_its_rate(first: float, last: float, count: int) -> None:
    due = np.array(instants(Load("ramp", None, last, first), count, 0))
    length = 2 * count / (first + last)
    sent = first * due + (last - first) * due**2 / (2 * length)
    assert np.allclose(sent, np.arange(count), rtol=1e-6, atol=1e-6)
    assert due[0] == 0 and np.all(np.diff(due) > 0) and due[-1] < length


@given(
    load=st.builds(Load, st.sampled_from(["constant", "poisson", "ramp"]), st.none(), rates, st.floats(0, 1e4)),
    count=counts,
    seed=seeds,
)
@settings(max_examples=200)
def test_instants_never_fall_and_the_same_seed_gives_the_same_ones(load: Load, count: int, seed: int) -> None:
    due = instants(load, count, seed)
    assert len(due) == count and due == sorted(due) and all(at >= 0 for at in due)
    assert due == instants(load, count, seed)


def test_poisson_gaps_are_exponential_independent_and_never_stretched_to_the_rate() -> None:
    """20,000 gaps: a Kolmogorov-Smirnov test against the exponential law, and no correlation with the gap before. The
    count within a fixed time varies as a Poisson count does, which a schedule rescaled to its mean rate does not."""
    rate, n = 25.0, 20_000
    gaps = np.diff([0.0, *instants(Load("poisson", None, rate), n, seed=5)])
    assert stats.kstest(gaps, stats.expon(scale=1 / rate).cdf).pvalue > 0.01
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 3 / np.sqrt(n)
    ends = [instants(Load("poisson", None, rate), 400, seed)[-1] for seed in range(400)]
    assert np.std(ends) == pytest.approx(np.sqrt(400) / rate, rel=0.15)
    assert np.mean(ends) == pytest.approx(400 / rate, rel=0.02)


def test_other_seeds_give_other_arrivals() -> None:
    load = Load("poisson", None, 10.0)
    assert len({tuple(instants(load, 5, seed)) for seed in range(50)}) == 50


@pytest.mark.parametrize("load", [Load(concurrency=2), Load("replay", None, 1.0)])
def test_closed_loops_and_replays_have_no_instants_of_their_own(load: Load) -> None:
    with pytest.raises(ValueError, match="no instants"):
        instants(load, 3, 0)
