"""Tuning: what a short LoRA fine-tune gains, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt

import numpy as np

from fourways.core.figure import Figure
from fourways.core.rows import TrainStepRow, TuneAnswerRow
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.failures import Failures
from fourways.figures.seeds import RESAMPLES, seed_for
from fourways.stats import clustered_wilson, percentile_interval, pigeonhole, t_interval

LEAST_IMAGES = 10
_CROSSED = (
    f"pigeonhole bootstrap: images and training seeds redrawn independently, {RESAMPLES:,} resamples, percentile; with "
    "two or three seeds it cannot see all of their spread"
)
_OVER_SEEDS = "Student's t over training seeds"
GAIN = Definition(
    "gain", "tuning", "fraction", "higher", "images",
    "mean over held-out answers of score after - score before, paired by question and training seed", _CROSSED,
)  # fmt: skip
BEFORE = Definition(
    "score_before", "tuning", "fraction", "higher", "images", "mean score of held-out answers before the fine-tune",
    "score interval at the effective size (clusters: images)", 2,
)  # fmt: skip
AFTER = Definition(
    "score_after", "tuning", "fraction", "higher", "images", "mean score of held-out answers after it", _CROSSED
)
TIME = Definition(
    "training_time", "tuning", "ms", "lower", "seeds", "sum of the steps' times of one fine-tune", _OVER_SEEDS
)
MEMORY = Definition(
    "training_peak", "tuning", "bytes", "lower", "seeds",
    "most bytes of tensors while training: live (CPU) or allocated (CUDA)", _OVER_SEEDS,
)  # fmt: skip
GRAD_NORM = Definition(
    "grad_norm_mean", "tuning", "L2 norm", "none", "seeds",
    "mean over logged steps of the L2 norm of all LoRA gradients before clipping; the first logged step is left out, "
    "for LoRA's B is 0 there", _OVER_SEEDS,
)  # fmt: skip
GRAD_PEAK = Definition(
    "grad_norm_max", "tuning", "L2 norm", "none", "seeds", "the largest of the norms that grad_norm_mean averages",
    _OVER_SEEDS,
)  # fmt: skip
DEFINITIONS = (GAIN, BEFORE, AFTER, TIME, MEMORY, GRAD_NORM, GRAD_PEAK)

HEADLINE = GAIN


@dataclass(slots=True)
class _Run:
    """The training steps of one seed. norms: (step, L2 norm over all modules), where logged."""

    time_ms: float = 0.0
    peak_bytes: int = 0
    norms: list[tuple[int, float]] = field(default_factory=list)

    def add(self, row: TrainStepRow) -> None:
        self.time_ms += row.time_ms
        self.peak_bytes = max(self.peak_bytes, row.peak_bytes)
        if row.grad_norms:
            self.norms.append((row.step, sqrt(sum(norm * norm for norm in row.grad_norms.values()))))


@dataclass(slots=True)
class _Task:
    """scores: phase → (seed, sample) → (image, score)."""

    scores: dict[str, dict[tuple[int, str], tuple[str, float]]] = field(
        default_factory=lambda: {"before": {}, "after": {}}
    )
    runs: dict[int, _Run] = field(default_factory=dict)


@dataclass(slots=True)
class Tuning:
    """Collects training steps and answers; `figures` computes."""

    _found: dict[str, dict[str, _Task]] = field(default_factory=dict)

    def _task(self, row: TrainStepRow | TuneAnswerRow) -> _Task:
        return self._found.setdefault(row.candidate, {}).setdefault(row.task, _Task())

    def add_step(self, row: TrainStepRow) -> None:
        self._task(row).runs.setdefault(row.seed, _Run()).add(row)

    def add_answer(self, row: TuneAnswerRow) -> None:
        self._task(row).scores[row.phase][row.seed, row.sample] = (row.image, row.score)

    def figures(self, failures: Failures) -> Iterator[Figure]:
        """All figures of the axis, candidate by candidate; the headline is the first task's gain."""
        for candidate in dict.fromkeys([*self._found, *failures.candidates("tuning")]):
            tasks = self._found.get(candidate, {})
            lost = failures.of_axis(candidate, "tuning")
            if lost is None and not any(task.scores["after"] for task in tasks.values()):
                lost = ("failed", "no fine-tune was finished")
            if lost is not None:
                yield absent(HEADLINE, candidate, *lost, {}, headline=True)
            for number, (name, task) in enumerate(tasks.items()):
                yield from _scores(candidate, name, task, lost is None and number == 0)
                yield from _costs(candidate, name, task)


def _scores(candidate: str, name: str, task: _Task, headline: bool) -> Iterator[Figure]:
    labels = {"task": name}
    before, after = task.scores["before"], task.scores["after"]
    pairs = sorted(before.keys() & after.keys())
    if pairs:
        gains = [after[pair][1] - before[pair][1] for pair in pairs]
        images = [after[pair][0] for pair in pairs]
        yield _crossed(GAIN, candidate, images, [seed for seed, _ in pairs], gains, labels, headline)
    elif headline:
        yield absent(GAIN, candidate, "failed", "no question was answered both before and after", labels, headline=True)
    if before:
        images = [image for image, _ in before.values()]
        values = [score for _, score in before.values()]
        found = Estimate(float(np.mean(values)), clustered_wilson(images, values), len(set(images)))
        yield figure(BEFORE, candidate, found, labels, least=LEAST_IMAGES)
    if after:
        images = [image for image, _ in after.values()]
        values = [score for _, score in after.values()]
        yield _crossed(AFTER, candidate, images, [seed for seed, _ in after], values, labels, headline=False)


def _crossed(
    definition: Definition,
    candidate: str,
    images: Sequence[str],
    seeds: Sequence[int],
    values: Sequence[float],
    labels: dict[str, str],
    headline: bool,
) -> Figure:
    count, trained = len(set(images)), len(set(seeds))
    replicates = pigeonhole(images, seeds, values, seed_for(definition.id, labels["task"]), RESAMPLES)
    interval = percentile_interval(replicates, count)
    note = None
    if trained < 2:
        interval, note = None, "one training seed cannot show how seeds differ"
    elif len(set(values)) == 1:
        note = "every answer gave the same"
    found = Estimate(float(np.mean(np.asarray(values))), interval, count, note)
    unit = f"images, {trained} seed{'s' if trained > 1 else ''}"
    return figure(definition, candidate, found, labels, least=LEAST_IMAGES, headline=headline, n_unit=unit)


def _costs(candidate: str, name: str, task: _Task) -> Iterator[Figure]:
    labels = {"task": name}
    runs = [run for _, run in sorted(task.runs.items())]
    if not runs:
        return
    yield _over_seeds(TIME, candidate, [run.time_ms for run in runs], labels)
    yield _over_seeds(MEMORY, candidate, [float(run.peak_bytes) for run in runs], labels)
    kept = [[norm for _, norm in sorted(run.norms)[1:]] for run in runs]
    for definition, of in ((GRAD_NORM, np.mean), (GRAD_PEAK, np.max)):
        if not all(kept):
            yield absent(definition, candidate, "undefined", "fewer than two steps were logged", labels)
        elif not all(isfinite(norm) for norms in kept for norm in norms):
            yield absent(definition, candidate, "undefined", "a gradient norm was not finite", labels)
        else:
            yield _over_seeds(definition, candidate, [float(of(norms)) for norms in kept], labels)


def _over_seeds(definition: Definition, candidate: str, values: Sequence[float], labels: dict[str, str]) -> Figure:
    found = Estimate(sum(values) / len(values), t_interval(values), len(values))
    return figure(definition, candidate, found, labels)
