"""Does a fine-tune go the same way? Losses step by step where the arithmetic is the same, then the answers after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from fourways.core.rows import TuneAnswerRow
from fourways.core.verdict import AxisVerdict, Verdict
from fourways.evidence.comparison.conditions import bit_exact
from fourways.evidence.comparison.facts import Both, Measured
from fourways.evidence.comparison.findings import Finding, of_a_loss, together
from fourways.figures.seeds import seed_for
from fourways.stats import LinearCombination, Part, detectable_difference, paired_interval, sign_flip_p, standard_error

LOSS = 1e-3
"""Relative: rounding grows from step to step, so that the last losses of equal arithmetic may differ in late digits."""
AGREE = 0.98
"""The least share of answers after the fine-tune that agree, where the arithmetic is the same."""
SIGNIFICANT = 0.01
_Step = tuple[str, int, int]


def tuning(both: Both) -> AxisVerdict:
    name = both.new_name
    if (lost := of_a_loss(both, "tuning")) is not None:
        return together(name, "tuning", [lost])
    answers = list(_answers(both))
    found = [*_lost(both), *_losses(both, answers), *answers]
    if not found:
        found = [Finding("not comparable", "no fine-tune of the same task and seed is in both runs")]
    return together(name, "tuning", found)


def _lost(both: Both) -> Iterator[Finding]:
    """Fine-tunes of the old run that the new one has nothing of."""
    old, new = _fine_tunes(both.old), _fine_tunes(both.new)
    why = next((f": {row.message}" for row in both.new.failures if row.axis == "tuning"), "")
    for task, seed in sorted(old - new):
        yield Finding("not reproduced", f"{task}, seed {seed}: the new run has no fine-tune, and the old one has{why}")


def _fine_tunes(measured: Measured) -> set[tuple[str, int]]:
    """Task and seed."""
    after = [row for row in measured.tuned if row.phase == "after"]
    return {(row.task, row.seed) for row in measured.steps} | {(row.task, row.seed) for row in after}


def _losses(both: Both, answers: Sequence[Finding]) -> Iterator[Finding]:
    """answers: what those after the fine-tune came to; they decide where losses part for reasons that are known."""
    old, new = _by_step(both.old), _by_step(both.new)
    shared = sorted(old.keys() & new.keys())
    if not shared:
        return
    far = {step: abs(new[step] - old[step]) / max(abs(old[step]), 1e-9) for step in shared}
    worst = max(far.values())
    statistics = {"losses.n": float(len(shared)), "losses.farthest": worst}
    runs = {step[:2] for step in shared}
    if {step for step in old if step[:2] in runs} != {step for step in new if step[:2] in runs}:
        yield Finding("not reproduced", f"{len(old):,} steps then, {len(new):,} now", statistics)
    exact = sum(value == 0 for value in far.values())
    same = (
        f"{exact:,} of {len(shared):,} losses are the same to the last digit, the farthest is off by {worst:.1e} of it"
    )
    if worst <= LOSS:
        yield Finding("reproduced", same, statistics)
    elif bit_exact(both):
        task, seed, number = next(step for step in shared if far[step] > LOSS)
        yield Finding("not reproduced", f"{same}; from step {number} of seed {seed} of {task} on they part", statistics)
    else:
        said = f"{same}: unlike machines, versions or low precision part ways; the answers decide"
        verdict: Verdict = "reproduced" if answers else "not comparable"
        yield Finding(verdict, said if answers else f"{said}, and there are none in both runs", statistics)


def _by_step(measured: Measured) -> dict[_Step, float]:
    return {(row.task, row.seed, row.step): row.loss for row in measured.steps}


@dataclass(frozen=True, slots=True)
class _Task:
    """The answers after the fine-tune that both runs have, in pairs (old, new)."""

    name: str
    pairs: list[tuple[TuneAnswerRow, TuneAnswerRow]]


def _answers(both: Both) -> Iterator[Finding]:
    exact = bit_exact(both)
    for task in _tasks(both):
        n = len(task.pairs)
        same = sum(old.reply == new.reply for old, new in task.pairs)
        combination = _difference(task)
        p = _p(task)
        sees = detectable_difference(standard_error(combination))
        interval = paired_interval(combination)
        statistics = {f"{task.name}.n": float(n), f"{task.name}.agreement": same / n, f"{task.name}.p": p}
        statistics |= {f"{task.name}.difference": combination.value}
        if interval is not None:
            statistics |= {f"{task.name}.low": interval.low, f"{task.name}.high": interval.high}
        said = f"{task.name}: {same:,} of {n:,} answers after the fine-tune are the same"
        if same < n:
            tested = f"p = {p:.2g}, sign flips over images"
            said += f"; their score moved by {100 * combination.value:+.1f} pp"
            seen = f"; this n sees differences of {100 * sees:.1f} pp or more"
            said += f" ({tested})" if p < SIGNIFICANT else f": not separated ({tested}{seen})"
        failed = p < SIGNIFICANT or (exact and same / n < AGREE)
        verdict: Verdict = "not reproduced" if failed else "reproduced"
        yield Finding(verdict, said, statistics)


def _tasks(both: Both) -> Iterator[_Task]:
    old, new = (
        {(row.task, row.seed, row.sample): row for row in run.tuned if row.phase == "after"}
        for run in (both.old, both.new)
    )
    shared = sorted(old.keys() & new.keys())
    for name, keys in groupby(shared, key=lambda key: key[0]):
        yield _Task(name, [(old[key], new[key]) for key in keys])


def _difference(task: _Task) -> LinearCombination:
    images = tuple(new.image for _, new in task.pairs)
    after, before = tuple(new.score for _, new in task.pairs), tuple(old.score for old, _ in task.pairs)
    return LinearCombination.of([Part(1.0, images, after), Part(-1.0, images, before)])


def _p(task: _Task) -> float:
    by_image: dict[str, float] = {}
    for old, new in task.pairs:
        by_image[new.image] = by_image.get(new.image, 0.0) + new.score - old.score
    return sign_flip_p(np.array([*by_image.values()]), seed_for("tuning", task.name))
