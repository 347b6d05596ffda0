"""Do the stated 95 % intervals hold the truth 93 to 97 times in a hundred? Simulated, 10,000 runs a cell, seeded.

The bar asks for 2,000 runs; their own error (0.5 points) is as large as the margin of many cells, hence more. Where
each image holds one yes/no unit, the number right is binomial, and the coverage is computed exactly as well and judged
by; what is simulated stands beside it in the results.

The intervals are those of the figures: `score_interval` for one mean (acc, acc+, circular) and for a sum (acc + acc+),
`paired_interval` for the difference between two candidates. In the first run of every cell they are compared with what
`fourways.figures.linear` makes of the same answers row by row.

What acc, acc+, circular, lower and equal are, and what stands beside the bar: see `simulated.py`.

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
from numpy.typing import NDArray
from scipy import stats

from fourways.benchmarks.contract import MetricPart
from fourways.figures.linear import combined, estimate
from fourways.stats import Interval, LinearCombination, paired_interval, score_interval
from simulated import PAIRS, Bools, Cell, truth, units

RESULTS = Path(__file__).parent / "results"
RUNS, SEED = 10_000, 20261122
BESIDE = 5
"""What is not graded gets so many times fewer runs."""
IMAGES, QUESTIONS, CORRELATIONS, CHANCES = (30, 100, 400), (1, 2, 4, 8), (0.0, 0.5), (0.5, 0.8, 0.95)
GRADED = ("acc", "acc+", "circular", "lower", "equal")
REPORTED = ("sum", "answer-acc+", "answer-circular", "lower-alike", "copied")
LOWEST, HIGHEST = 0.93, 0.97
_BATCH = 250


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell gave. above, below: shares of runs with the whole interval above, or below, the truth. width: mean.
    exact_test: for equal candidates, what an exact test would hold at least. note: why the bar cannot be met, if so."""

    truth: float
    simulated: float
    exact: float | None
    above: float
    below: float
    width: float
    runs: int
    exact_test: float | None
    note: str

    @property
    def coverage(self) -> float:
        return self.simulated if self.exact is None else self.exact


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
    test = exact_test(cell, np.asarray(differing))
    held, width = 1 - (above + below) / runs, float((high - low).mean())
    return Outcome(true, held, exact(cell), above / runs, below / runs, width, runs, test, forced(cell))


def whole_images(cell: Cell) -> bool:
    """Whether the metric is one yes/no unit an image."""
    return cell.metric.endswith("acc+") or (
        cell.questions == 1 and cell.metric in ("acc", "circular", "answer-circular")
    )


def exact(cell: Cell) -> float | None:
    """The coverage itself, summed over all numbers of images that may be right; None where they are not binomial."""
    if not whole_images(cell):
        return None
    n, true = cell.images, truth(cell)
    counts, strata = np.ones((1, n)), np.zeros(n, dtype=np.int64)
    held = 0.0
    for right in range(n + 1):
        sums = (np.arange(n) < right).astype(np.float64)[None, :]
        if interval(cell, LinearCombination(np.ones(1), sums, counts, strata)).contains(true):
            held += float(stats.binom.pmf(right, n, true))
    return held


def forced(cell: Cell) -> str:
    """Why no coverage within the bar can be had here; empty where it can, or where it is not known.

    One yes/no unit an image, or independent ones: the number right is binomial, and an interval whose ends rise with
    it covers when that number lies in an unbroken range. The coverages of all such ranges are computed; if none is
    within the bar, so it is.
    """
    if not whole_images(cell) and (cell.rho > 0 or cell.metric in (*PAIRS, "sum")):
        return ""
    size = cell.images * (1 if whole_images(cell) else cell.questions)
    below = np.concatenate([[0.0], stats.binom.cdf(np.arange(size + 1), size, truth(cell))])
    ranges = below[None, :] - below[:, None]
    if ((ranges >= LOWEST) & (ranges <= HIGHEST)).any():
        return ""
    near = ranges[ranges < LOWEST].max(), ranges[ranges > HIGHEST].min()
    return f"binomial: coverage steps from {near[0]:.4f} to {near[1]:.4f}"


def exact_test(cell: Cell, differing: NDArray[np.int64]) -> float | None:
    """For equal candidates: the least share of runs in which an exact sign-flip test at 5 % does not tell them apart,
    where that is above the bar.

    differing: (runs,) images that differ, d. Every pattern of their signs is equally likely, so the test can reject
    2 floor(2^d / 40) of the 2^d patterns at most: none below 6. An interval that leaves out 0 more often contradicts
    that test.
    """
    if cell.metric != "equal":
        return None
    patterns = 2.0**differing
    least = 1 - float((2 * np.floor(patterns / 40) / patterns).mean())
    return least if least > HIGHEST else None


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


def graded(cell: Cell) -> bool:
    return cell.metric in GRADED and cell.p in CHANCES


def grid(metrics: tuple[str, ...], chances_of_one: tuple[float, ...]) -> list[Cell]:
    return [
        Cell(metric, images, questions, rho, p)
        for metric, images, questions, rho, p in product(metrics, IMAGES, QUESTIONS, CORRELATIONS, chances_of_one)
        if not (metric == "copied" and rho == 0) and not (metric in ("copied", "sum", "answer-acc+") and questions == 1)
    ]


def write(found: dict[Cell, Outcome], summary: dict[str, int]) -> None:
    now = datetime.now(UTC)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "cores": psutil.cpu_count()}
    cells = [
        {**asdict(cell), **asdict(one), "coverage": one.coverage, "graded": graded(cell), "verdict": verdict(one)}
        for cell, one in found.items()
    ]
    result: dict[str, object] = {
        "bench": "coverage",
        "date": now.isoformat(timespec="seconds"),
        **machine,
        "numpy": np.__version__,
    }
    result |= {"seed": SEED, **summary, "cells": cells}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"coverage-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--metrics", nargs="+", default=[*GRADED, *REPORTED], choices=[*GRADED, *REPORTED])
    asked = parser.parse_args()
    started, found = perf_counter(), {}
    for metric in asked.metrics:
        for cell in grid((metric,), (*CHANCES, 0.99)):
            found[cell] = measure(cell, asked.runs if graded(cell) else max(1, asked.runs // BESIDE))
        print(table(metric, found), end="\n\n", flush=True)
    judged = {cell: one for cell, one in found.items() if graded(cell)}
    verdicts = {cell: verdict(one) for cell, one in judged.items()}
    for cell, one in verdicts.items():
        if one != "pass":
            print(f"{one}: {cell}: {judged[cell]}")
    missed = sum(one == "MISS" for one in verdicts.values())
    discrete = sum(one == "discrete" for one in verdicts.values())
    seconds = perf_counter() - started
    print(f"{len(judged)} cells: {missed} missed, {discrete} cannot be met; {seconds:.0f} s")
    if len(asked.metrics) == len(GRADED + REPORTED):
        write(found, {"seconds": round(seconds), "missed": missed, "discrete": discrete})
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
