"""One older value against a few new ones."""

from __future__ import annotations

import numpy as np
import pytest

from fourways.stats import against_one


def test_the_interval_is_that_of_a_prediction() -> None:
    """Of three values with standard deviation 1: 4.303 x sqrt(4 / 3) on either side."""
    found = against_one(10.0, [11.0, 12.0, 13.0])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((2 - 4.9683, 2 + 4.9683), abs=1e-3)


def test_a_single_new_value_has_none() -> None:
    assert against_one(1.0, [1.0]) is None


def test_values_that_are_all_alike_have_no_width() -> None:
    assert against_one(1.0, [3.0, 3.0, 3.0]) == (2.0, 2.0)


def test_an_old_value_of_the_same_kind_is_covered_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(4000, 4))
    found = [against_one(row[0], row[1:]) for row in draws]
    covered = np.mean([one is not None and one.contains(0.0) for one in found])
    assert 0.94 < covered < 0.96
