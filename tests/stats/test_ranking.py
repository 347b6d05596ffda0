"""The interval of the area under the curve of confidence against correctness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from fourways.stats import confidence_auroc, confidence_auroc_interval

APART = 1.0
AREA = float(stats.norm.cdf(APART / np.sqrt(2)))
"""Confidence is normal with variance 1, and higher by APART where the answer is right."""


def answered(rng: np.random.Generator, images: int, questions: int) -> tuple[list[int], list[float], list[float]]:
    """Three quarters of the variance of confidence is the image's, which answers are right is chance."""
    right = rng.random((images, questions)) < 0.7
    said = APART * right + np.sqrt(0.75) * rng.normal(size=(images, 1)) + 0.5 * rng.normal(size=(images, questions))
    owner = np.repeat(np.arange(images), questions)
    return owner.tolist(), special.ndtr(said).ravel().tolist(), right.astype(float).ravel().tolist()


@pytest.mark.parametrize(("images", "questions"), [(60, 4), (150, 1)])
def test_the_interval_holds_the_truth(images: int, questions: int) -> None:
    rng = np.random.default_rng(images)
    found = [confidence_auroc_interval(*answered(rng, images, questions)) for _ in range(600)]
    assert 0.925 <= np.mean([one is not None and one.contains(AREA) for one in found]) <= 0.975


def test_the_interval_is_about_the_area() -> None:
    owner, said, right = answered(np.random.default_rng(1), 80, 3)
    area, found = confidence_auroc(said, right), confidence_auroc_interval(owner, said, right)
    assert area is not None and found is not None
    assert special.logit(area) == pytest.approx(np.mean(special.logit(found)))


def test_copies_within_an_image_add_nothing() -> None:
    owner, said, right = answered(np.random.default_rng(2), 80, 3)
    assert confidence_auroc_interval(owner * 2, said * 2, right * 2) == pytest.approx(
        confidence_auroc_interval(owner, said, right)
    )


@pytest.mark.parametrize(
    ("owner", "said", "right"),
    [
        (["a", "a"], [0.2, 0.9], [0.0, 1.0]),
        (["a", "b"], [0.2, 0.9], [1.0, 1.0]),
        (["a", "b"], [0.2, 0.9], [0.0, 1.0]),
    ],
)
def test_what_cannot_carry_an_interval_has_none(owner: list[str], said: list[float], right: list[float]) -> None:
    assert confidence_auroc_interval(owner, said, right) is None
