from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.stats import normalised, normalised_score, quartiles

scores = st.floats(-1e6, 1e6)


def test_the_ends_and_the_middle_are_the_specified_ones() -> None:
    found = normalised([20.0, 30.0, 40.0, 50.0, 60.0], 30.0, 50.0)
    assert found is not None
    low, high = 1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3))
    assert found.tolist() == pytest.approx([low, low, 0.5, high, high])
    assert (round(low, 3), round(high, 3)) == (0.047, 0.953)


@given(st.lists(scores, min_size=1), scores, scores)
def test_order_is_kept_and_no_score_leaves_the_range(values: list[float], one: float, other: float) -> None:
    q1, q3 = sorted((one, other))
    found = normalised(values, q1, q3)
    if q1 == q3:
        assert found is None
        return
    assert found is not None and found.shape == (len(values),)
    assert (np.diff(found[np.argsort(values)]) >= 0).all()
    assert 0.047 < found.min() <= found.max() < 0.953


def test_half_of_the_models_behind_the_quartiles_tie_with_another() -> None:
    models = np.arange(20.0)
    found = normalised(models, *quartiles(models.tolist()))
    assert found is not None
    assert (found == found.min()).sum() == (found == found.max()).sum() == 5


def test_what_is_missing_stays_missing() -> None:
    found = normalised([1.0, float("nan")], 0.0, 2.0)
    assert found is not None and found[0] == 0.5 and np.isnan(found[1])
    assert normalised_score(float("nan"), 0.0, 2.0) is None
    assert normalised_score(None, 0.0, 2.0) is None
    assert normalised_score(1.0, 0.0, 2.0) == 0.5
    assert normalised_score(1.0, 2.0, 2.0) is None


@pytest.mark.parametrize(("q1", "q3"), [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_quartiles_that_are_none_are_refused(q1: float, q3: float) -> None:
    with pytest.raises(ValueError, match="quartiles"):
        normalised([1.0], q1, q3)


def test_quartiles_lie_between_order_statistics() -> None:
    # Ranks 1 + q (n - 1) = 2 and 4 of five; 1.75 and 3.25 of four.
    assert quartiles([50.0, 10.0, 40.0, 20.0, 30.0]) == (20.0, 40.0)
    assert quartiles([1.0, 2.0, 3.0, 4.0]) == (1.75, 3.25)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")]])
def test_quartiles_need_scores(values: list[float]) -> None:
    with pytest.raises(ValueError, match="two finite scores"):
        quartiles(values)
