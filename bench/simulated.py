"""Answers of candidates to questions about images, drawn with known truth: what `coverage.py` tries intervals on.

Each image has a chance of being answered rightly, drawn from a Beta so that two answers about it correlate by rho. p is
the truth of what is estimated. acc: the share of right answers. acc+: the share of images with all their questions
right. circular: the share of questions right in all of four rotations. lower: the difference to a second candidate with
p - 0.1 and image effects of its own. equal: the difference to one that has the very same chances.

Beside the bar: sum, acc + acc+ as in MME. answer-acc+, answer-circular: p is that of one answer, so the truth may be
anywhere. lower-alike: as lower, with an image as easy for one candidate as for the other (equal quantiles). copied:
acc, where with chance sqrt(rho) a question repeats its image's own answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import optimize, special

PAIRS = ("lower", "equal", "lower-alike")
ROTATIONS = 4
DROP = 0.1

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the grid. images: n. questions: an image. rho: correlation of two answers about one image."""

    metric: str
    images: int
    questions: int
    rho: float
    p: float


def chances(rng: Generator, rho: float, p: float, shape: tuple[int, int]) -> Floats:
    """(runs, images) chances with mean p."""
    if rho == 0:
        return np.full(shape, p)
    both = 1 / rho - 1
    return rng.beta(p * both, (1 - p) * both, size=shape)


def chances_alike(rng: Generator, rho: float, first: float, second: float, shape: tuple[int, int]) -> list[Floats]:
    """The chances of two candidates with these means, at equal quantiles: an image as easy for one as for the other."""
    if rho == 0:
        return [np.full(shape, first), np.full(shape, second)]
    both, quantiles = 1 / rho - 1, rng.random(shape)
    return [np.asarray(special.betaincinv(p * both, (1 - p) * both, quantiles)) for p in (first, second)]


def answers(rng: Generator, chance: Floats, an_image: int) -> Bools:
    """(runs, images, an_image): right or not."""
    return rng.random((*chance.shape, an_image)) < chance[:, :, None]


def copied(rng: Generator, cell: Cell, runs: int) -> Bools:
    """As `answers`, where with chance sqrt(rho) a question repeats the image's own answer."""
    shape = (runs, cell.images, cell.questions)
    image, own = rng.random((*shape[:2], 1)) < cell.p, rng.random(shape) < cell.p
    repeats: Bools = rng.random(shape) < np.sqrt(cell.rho)
    return np.asarray((repeats & image) | (~repeats & own))


def all_right(rho: float, p: float, number: int) -> float:
    """The chance that `number` answers about one image are all right, where one is with chance p."""
    if rho == 0:
        return float(p**number)
    both = 1 / rho - 1
    steps = np.arange(number)
    return float(np.prod((p * both + steps) / (both + steps)))


def group(cell: Cell) -> int:
    """How many answers must be right together."""
    if cell.metric.endswith("circular"):
        return ROTATIONS
    return cell.questions if cell.metric.endswith("acc+") else 1


def one_answer(cell: Cell) -> float:
    """The chance that one answer is right."""
    if group(cell) == 1 or cell.metric.startswith("answer-"):
        return cell.p
    return float(optimize.brentq(lambda p: all_right(cell.rho, p, group(cell)) - cell.p, 0, 1, xtol=1e-14))


def truth(cell: Cell) -> float:
    if cell.metric in PAIRS:
        return 0.0 if cell.metric == "equal" else DROP
    if cell.metric == "sum":
        return cell.p + all_right(cell.rho, cell.p, cell.questions)
    return all_right(cell.rho, one_answer(cell), group(cell))


def pair(rng: Generator, cell: Cell, shape: tuple[int, int]) -> list[Floats]:
    """(runs, images) chances of both candidates."""
    if cell.metric == "lower-alike":
        return chances_alike(rng, cell.rho, cell.p, cell.p - DROP, shape)
    first = chances(rng, cell.rho, cell.p, shape)
    return [first, first if cell.metric == "equal" else chances(rng, cell.rho, cell.p - DROP, shape)]


def units(rng: Generator, cell: Cell, runs: int) -> list[tuple[float, Bools]]:
    """The metric's parts: coefficient, and (runs, images, units) of what is right."""
    if cell.metric == "copied":
        return [(1.0, copied(rng, cell, runs))]
    if cell.metric in PAIRS:
        first, second = pair(rng, cell, (runs, cell.images))
        return [(1.0, answers(rng, first, cell.questions)), (-1.0, answers(rng, second, cell.questions))]
    chance = chances(rng, cell.rho, one_answer(cell), (runs, cell.images))
    if cell.metric.endswith("circular"):
        right = answers(rng, chance, cell.questions * ROTATIONS)
        return [(1.0, np.all(right.reshape(runs, cell.images, cell.questions, ROTATIONS), axis=3))]
    right = answers(rng, chance, cell.questions)
    whole: Bools = np.all(right, axis=2)[:, :, None]
    if cell.metric == "sum":
        return [(1.0, right), (1.0, whole)]
    return [(1.0, whole if cell.metric.endswith("acc+") else right)]
