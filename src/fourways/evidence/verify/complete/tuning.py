"""Tuning: every seed with all its steps in order, and the same held-out samples before and after."""

from __future__ import annotations

from collections.abc import Iterator

from fourways.core.rows import TrainStepRow, TuneAnswerRow
from fourways.core.run import RunHeader
from fourways.core.run_files import ROWS_FILE, RUN_FILE
from fourways.evidence.verify.complete.told import Told

_PHASES = ("before", "after")


class Tuning:
    def __init__(self, header: RunHeader, told: Told) -> None:
        self._plan = header.plan
        self._told = told
        self._steps: dict[tuple[str, int], int] = {}
        self._answers: dict[tuple[str, int, str], set[str]] = {}

    def add(self, line: int, row: TrainStepRow | TuneAnswerRow) -> Iterator[str]:
        """What is wrong with this row."""
        where = f"{ROWS_FILE}, line {line}"
        if isinstance(row, TrainStepRow):
            due = self._steps.get((row.candidate, row.seed), 0)
            if row.step < due or not self._unwritten(row.candidate, due, row.step):
                yield f"{where}: step {row.step} of {row.candidate}, seed {row.seed}, and {due} is due"
            self._steps[row.candidate, row.seed] = row.step + 1
            return
        seen = self._answers.setdefault((row.candidate, row.seed, row.phase), set())
        if row.sample in seen:
            yield f"{where}: sample {row.sample!r} stands twice {row.phase} seed {row.seed} of {row.candidate}"
        seen.add(row.sample)

    def missing(self, candidate: str) -> Iterator[str]:
        """Of a candidate that is finished and was not lost."""
        seeds = {seed for name, seed in self._steps if name == candidate}
        planned = seeds if self._plan is None else set(self._plan.tuning_seeds)
        if not planned or seeds - planned:
            yield f"{ROWS_FILE}: {candidate} was tuned with seeds {sorted(seeds)}, and {sorted(planned)} were planned"
        if self._plan is not None and not (self._plan.tuning_steps and self._plan.tuning_held_out):
            yield f"{RUN_FILE}: it asks for tuning, and plans no step or no held-out sample"
        for seed in sorted(planned):
            if not any(where.endswith(f"seed {seed}") for where in self._told.part(candidate)):
                yield from self._incomplete(candidate, seed)

    def remarks(self) -> Iterator[str]:
        if self._plan is None and self._steps:
            yield "the header of an older version does not say how many steps of tuning were planned"

    def _unwritten(self, candidate: str, due: int, step: int) -> bool:
        """Whether failures stand for the steps before this one that are not there."""
        told = set(self._told.single(candidate))
        return all(str(one) in told for one in range(due, step))

    def _incomplete(self, candidate: str, seed: int) -> Iterator[str]:
        what = f"{ROWS_FILE}: {candidate}, seed {seed}"
        steps = self._steps.get((candidate, seed), 0)
        if self._plan is not None and steps != self._plan.tuning_steps:
            yield f"{what}: {steps} steps, and {self._plan.tuning_steps} were planned"
        before, after = (self._answers.get((candidate, seed, phase), set()) for phase in _PHASES)
        if before != after:
            yield f"{what}: {len(before)} samples before and {len(after)} after, and they must be the same"
        elif self._plan is not None and len(before) != self._plan.tuning_held_out:
            yield f"{what}: {len(before)} held-out samples, and {self._plan.tuning_held_out} were planned"
