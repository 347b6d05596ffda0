"""Do the stated 95 % intervals hold the truth 93 to 97 times in a hundred? Simulated, 2,000 runs a cell, seeded.

The intervals are those of the figures: `score_interval` for one mean (acc, acc+, circular) and for a sum (acc + acc+),
`paired_interval` for the difference between two candidates. In the first run of every cell they are compared with what
`fourways.figures.linear` makes of the same answers row by row.

Each image has a chance of being answered rightly, drawn from a Beta so that two answers about it correlate by rho. p is
the truth of what is estimated. acc: the share of right answers. acc+: the share of images with all their questions
right. circular: the share of questions right in all of four rotations. lower: the difference to a second candidate with
p - 0.1 and image effects of its own. equal: the difference to one that has the very same chances.

Beside the bar: sum, acc + acc+ as in MME. answer-acc+, answer-circular: p is that of one answer, so the truth may be
anywhere. lower-alike: as lower, with an image as easy for one candidate as for the other (equal quantiles). copied:
acc, where with chance sqrt(rho) a question repeats its image's own answer. And everything at p = 0.99.

Exit status 1 if a cell misses and the miss is not shown to come from discreteness (see `forced`).
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import optimize, special, stats

from fourways.benchmarks.contract import MetricPart
from fourways.figures.linear import combined, estimate
from fourways.stats import Interval, LinearCombination, paired_interval, score_interval

RESULTS = Path(__file__).parent / "results"
RUNS, SEED = 2000, 20261122
IMAGES, QUESTIONS, CORRELATIONS, CHANCES = (30, 100, 400), (1, 2, 4, 8), (0.0, 0.5), (0.5, 0.8, 0.95)
GRADED = ("acc", "acc+", "circular", "lower", "equal")
REPORTED = ("sum", "answer-acc+", "answer-circular", "lower-alike", "copied")
PAIRS = ("lower", "equal", "lower-alike")
LOWEST, HIGHEST = 0.93, 0.97
ROTATIONS = 4
DROP = 0.1
_BATCH = 250

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell gave. above, below: shares of runs with the whole interval above, or below, the truth. width: mean.
    note: why the bar cannot be met, if so."""

    truth: float
    coverage: float
    above: float
    below: float
    width: float
    note: str


def chances(rho: float, p: float, quantiles: Floats) -> Floats:
    """(runs, images) chances with mean p, at the given quantiles of their distribution."""
    if rho == 0:
        return np.full(quantiles.shape, p)
    both = 1 / rho - 1
    return np.asarray(special.betaincinv(p * both, (1 - p) * both, quantiles), dtype=np.float64)


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


def units(rng: Generator, cell: Cell, runs: int) -> list[tuple[float, Bools]]:
    """The metric's parts: coefficient, and (runs, images, units) of what is right."""
    if cell.metric == "copied":
        return [(1.0, copied(rng, cell, runs))]
    quantiles = rng.random((runs, cell.images))
    chance = chances(cell.rho, one_answer(cell), quantiles)
    if cell.metric in PAIRS:
        own = rng.random(quantiles.shape) if cell.metric == "lower" else quantiles
        second = chances(cell.rho, cell.p - truth(cell), own)
        return [(1.0, answers(rng, chance, cell.questions)), (-1.0, answers(rng, second, cell.questions))]
    if cell.metric.endswith("circular"):
        right = answers(rng, chance, cell.questions * ROTATIONS)
        return [(1.0, np.all(right.reshape(runs, cell.images, cell.questions, ROTATIONS), axis=3))]
    right = answers(rng, chance, cell.questions)
    whole: Bools = np.all(right, axis=2)[:, :, None]
    if cell.metric == "sum":
        return [(1.0, right), (1.0, whole)]
    return [(1.0, whole if cell.metric.endswith("acc+") else right)]


def combinations(parts: list[tuple[float, Bools]]) -> Iterator[LinearCombination]:
    """One a run."""
    coefficients = np.asarray([coefficient for coefficient, _ in parts])
    sums = np.stack([right.sum(axis=2) for _, right in parts], axis=1).astype(np.float64)
    counts = np.stack([np.full(sums.shape[2], right.shape[2], dtype=np.float64) for _, right in parts])
    strata = np.zeros(sums.shape[2], dtype=np.int64)
    for one in sums:
        yield LinearCombination(coefficients, one, counts, strata)


def interval(cell: Cell, combination: LinearCombination) -> Interval:
    found = paired_interval(combination) if cell.metric in PAIRS else score_interval(combination)
    assert found is not None, cell
    return found


def check_against_figures(cell: Cell, parts: list[tuple[float, Bools]], found: Interval) -> None:
    """The first run again, from one labelled value an answer, through the figures' own path."""
    made = []
    for coefficient, right in parts:
        first = right[0].astype(float)
        names = tuple(f"image {i}" for i in range(first.shape[0]) for _ in range(first.shape[1]))
        made.append(MetricPart(coefficient, names, tuple(first.ravel().tolist())))
    pair = cell.metric in PAIRS
    again = paired_interval(combined(made)) if pair else estimate(made).interval
    assert again is not None and np.allclose(again, found, atol=1e-9), (cell, found, again)


def measure(cell: Cell, runs: int) -> Outcome:
    seed = [SEED, *map(ord, cell.metric), cell.images, cell.questions, int(100 * cell.rho), int(100 * cell.p)]
    rng = np.random.default_rng(seed)
    true, ends, differing = truth(cell), [], []
    for start in range(0, runs, _BATCH):
        parts = units(rng, cell, min(_BATCH, runs - start))
        for combination in combinations(parts):
            ends.append(interval(cell, combination))
            differing.append(int((combination.shares != 0).sum()))
        if start == 0:
            check_against_figures(cell, parts, ends[0])
    low, high = np.asarray(ends).T
    above, below = int((low > true).sum()), int((high < true).sum())
    note = forced(cell, np.asarray(differing))
    return Outcome(true, 1 - (above + below) / runs, above / runs, below / runs, float((high - low).mean()), note)


def forced(cell: Cell, differing: NDArray[np.int64]) -> str:
    """Why no coverage within the bar can be had here; empty where it can.

    One yes/no unit an image, or independent ones: the number right is binomial, and an interval whose ends rise with
    it covers when that number lies in an unbroken range. The coverages of all such ranges are computed; if none is
    within the bar, so it is. Equal candidates: given which images differ, every pattern of their signs is equally
    likely. An interval that leaves out 0 in at most 5 % of the patterns (what an exact test does) can leave it out in
    2 floor(2^d / 40) of 2^d. The mean of that over the d that came up is the most it can miss.
    """
    if cell.metric == "equal":
        patterns = 2.0**differing
        least = 1 - float((2 * np.floor(patterns / 40) / patterns).mean())
        return f"an exact sign-flip test covers at least {least:.4f}" if least > HIGHEST else ""
    whole_images = cell.questions == 1 or cell.metric.endswith("acc+")
    if cell.metric in (*PAIRS, "sum", "copied") or not (whole_images or cell.rho == 0):
        return ""
    size = cell.images * (1 if whole_images else cell.questions)
    below = np.concatenate([[0.0], stats.binom.cdf(np.arange(size + 1), size, truth(cell))])
    ranges = below[None, :] - below[:, None]
    if ((ranges >= LOWEST) & (ranges <= HIGHEST)).any():
        return ""
    near = ranges[ranges < LOWEST].max(), ranges[ranges > HIGHEST].min()
    return f"binomial: coverage steps from {near[0]:.4f} to {near[1]:.4f}"


def verdict(outcome: Outcome) -> str:
    if LOWEST <= round(outcome.coverage, 6) <= HIGHEST:
        return "pass"
    return "discrete" if outcome.note else "MISS"


def table(metric: str, found: dict[Cell, Outcome]) -> str:
    """Rows: images and questions; columns: correlation and p; in per cent, marked where outside the bar."""
    mine = {cell: outcome for cell, outcome in found.items() if cell.metric == metric}
    columns = sorted({(cell.rho, cell.p) for cell in mine})
    lines = [f"{metric:<15} rho, p " + "".join(f"{rho:>6g} {p:<5g}" for rho, p in columns)]
    for images, questions in sorted({(cell.images, cell.questions) for cell in mine}):
        shown = []
        for rho, p in columns:
            outcome = mine.get(Cell(metric, images, questions, rho, p))
            mark = {"pass": " ", "discrete": "d", "MISS": "!"}[verdict(outcome)] if outcome else " "
            shown.append(f"{100 * outcome.coverage:10.2f}{mark} " if outcome else " " * 12)
        lines.append(f"{images:>11} x {questions:<8}" + "".join(shown))
    return "\n".join(lines)


def grid(metrics: tuple[str, ...], chances_of_one: tuple[float, ...]) -> list[Cell]:
    return [
        Cell(metric, images, questions, rho, p)
        for metric, images, questions, rho, p in product(metrics, IMAGES, QUESTIONS, CORRELATIONS, chances_of_one)
        if not (metric == "copied" and rho == 0) and not (metric in ("copied", "sum", "answer-acc+") and questions == 1)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--metrics", nargs="+", default=[*GRADED, *REPORTED], choices=[*GRADED, *REPORTED])
    asked = parser.parse_args()
    started, found = perf_counter(), {}
    for metric in asked.metrics:
        for cell in grid((metric,), (*CHANCES, 0.99)):
            found[cell] = measure(cell, asked.runs)
        print(table(metric, found), end="\n\n", flush=True)
    graded = {cell: one for cell, one in found.items() if cell.metric in GRADED and cell.p in CHANCES}
    verdicts = {cell: verdict(one) for cell, one in graded.items()}
    for cell, one in verdicts.items():
        if one != "pass":
            print(f"{one}: {cell}: {graded[cell]}")
    missed = sum(one == "MISS" for one in verdicts.values())
    discrete = sum(one == "discrete" for one in verdicts.values())
    seconds = perf_counter() - started
    print(f"{len(graded)} cells: {missed} missed, {discrete} cannot be met; {seconds:.0f} s")
    now = datetime.now(UTC)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "cores": psutil.cpu_count()}
    cells = [{**asdict(cell), **asdict(one), "verdict": verdict(one)} for cell, one in found.items()]
    result = {"bench": "coverage", "date": now.isoformat(timespec="seconds"), **machine, "numpy": np.__version__}
    result |= {"runs": asked.runs, "seed": SEED, "seconds": round(seconds), "missed": missed, "discrete": discrete}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"coverage-{now:%Y-%m-%d}.json").write_text(json.dumps({**result, "cells": cells}, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
