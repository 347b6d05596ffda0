"""The interval of the area under the curve: DeLong's where answers are independent, wider where they come in clumps."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from scipy import stats

from fourways.stats import confidence_auroc, confidence_auroc_interval


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    right = (rng.random(n) < 0.6).astype(float)
    return stats.norm.cdf(rng.normal(size=n) + 0.8 * right), right


def test_with_one_answer_an_image_it_is_delongs_on_the_logit_scale() -> None:
    said, right = drawn(0, 300)
    good, bad = said[right == 1], said[right == 0]
    wins = (good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])
    area = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / good.size + wins.mean(axis=0).var(ddof=1) / bad.size
    assert confidence_auroc(said, right) == pytest.approx(area)
    found = confidence_auroc_interval(np.arange(300), said, right)
    assert found is not None
    half = (log(found.high / (1 - found.high)) - log(found.low / (1 - found.low))) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, 299) * sqrt(variance) / (area * (1 - area)), rel=0.01)


def test_copies_of_an_answer_do_not_narrow_it() -> None:
    said, right = drawn(1, 80)
    once = confidence_auroc_interval(np.arange(80), said, right)
    fourfold = confidence_auroc_interval(np.tile(np.arange(80), 4), np.tile(said, 4), np.tile(right, 4))
    assert once is not None and fourfold == pytest.approx(once)


def test_without_right_or_without_wrong_answers_there_is_none() -> None:
    said = np.linspace(0.1, 0.9, 20)
    for right in (np.zeros(20), np.ones(20), (said > 0.5).astype(float)):
        assert confidence_auroc_interval(np.arange(20), said, right) is None
    assert confidence_auroc_interval(["one"] * 20, said, np.arange(20) % 2) is None


def test_it_covers_the_area_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    truth, held, runs = stats.norm.cdf(0.8 / sqrt(2)), 0, 400
    for _ in range(runs):
        clump = rng.normal(size=(100, 1)), rng.normal(size=(100, 1))
        right = ((clump[0] + rng.normal(size=(100, 2))) / sqrt(2) < 0.8).astype(float)
        said = stats.norm.cdf((clump[1] + rng.normal(size=(100, 2))) / sqrt(2) + 0.8 * right)
        found = confidence_auroc_interval(np.repeat(np.arange(100), 2), said.ravel(), right.ravel())
        held += found is not None and found.contains(float(truth))
    assert 0.92 <= held / runs <= 0.975
