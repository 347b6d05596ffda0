from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.stats import Interval, Term, recovered_interval, wilson

terms = st.builds(
    lambda c, mean, n: Term(c, mean, wilson(mean, n)), st.floats(-5, 5), st.floats(0, 1), st.integers(1, 500)
)


def test_one_term_keeps_its_interval() -> None:
    assert recovered_interval([[Term(2.0, 0.5, Interval(0.4, 0.7))]]) == pytest.approx((0.8, 1.4))
    assert recovered_interval([[Term(-1.0, 0.5, Interval(0.4, 0.7))]]) == pytest.approx((-0.7, -0.4))


def test_a_difference_of_proportions_has_newcombes_interval() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table II, method 10: 56/70 - 48/80.
    terms = [[Term(1.0, 56 / 70, wilson(56 / 70, 70))], [Term(-1.0, 48 / 80, wilson(48 / 80, 80))]]
    low, high = recovered_interval(terms)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


@given(st.lists(terms, min_size=1, max_size=6))
def test_terms_that_err_together_reach_further(given_terms: list[Term]) -> None:
    together, apart = recovered_interval([given_terms]), recovered_interval([[term] for term in given_terms])
    value = sum(term.coefficient * term.mean for term in given_terms)
    assert together.low - 1e-9 <= apart.low <= value + 1e-9
    assert value - 1e-9 <= apart.high <= together.high + 1e-9
