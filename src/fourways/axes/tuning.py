"""Tuning: how well a model takes to a task that it was not trained on, by a short LoRA fine-tune.

The same held-out questions are answered before and after, by the same engine on the same path; only the adapter
differs. Every candidate gets the same examples, steps and settings. Several seeds decide LoRA's start and the order of
the examples. An interrupted run goes on: seeds that are whole are not trained again, and a broken-off one is repeated
with the same seed, so that its rows so far stay.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import torch

from fourways.axes.contract import Opened, Settings
from fourways.axes.listening import listen
from fourways.axes.tuning_task import NAME, Question, Task
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.figure import Axis as AxisName
from fourways.core.request import Generate, Plan, Request
from fourways.core.rows import FailureRow, Row, TrainStepRow, TuneAnswerRow
from fourways.engines import LocalEngine
from fourways.engines.local.faults import explain
from fourways.tuning.folder import save_adapter
from fourways.tuning.lora import LoraRun, Step, TrainingSet
from fourways.tuning.recipe import Recipe

SEEDS = (0, 1)
STEPS, STEPS_QUICK = 80, 40
HELD_OUT, HELD_OUT_QUICK = 200, 100
ANSWER_TOKENS = 8
WINDOW = 64
"""Requests in flight while answering."""
_SECONDS_A_STEP, _SECONDS_AN_ANSWER = 0.15, 0.02


def recipe(seed: int, quick: bool) -> Recipe:
    """The budget that every candidate gets."""
    steps = STEPS_QUICK if quick else STEPS
    return Recipe(seed=seed, steps=steps, batch_size=16, learning_rate=4e-3, warmup_steps=steps // 10)


class Tuning:
    """The tuning axis."""

    name: ClassVar[AxisName] = "tuning"

    def estimate(self, candidates: Sequence[Candidate], settings: Settings) -> tuple[int, float]:
        """Optimiser steps, and seconds for models as small as the embedded ones, answering included."""
        tuned = sum(c.url is None and c.weights == "trained" and c.adapter is None for c in candidates)
        steps = tuned * len(SEEDS) * recipe(0, settings.quick).steps
        answers = tuned * (1 + len(SEEDS)) * _held_out(settings)
        return steps, steps * _SECONDS_A_STEP + answers * _SECONDS_AN_ANSWER

    async def rows(self, opened: Sequence[Opened], settings: Settings, done: Sequence[Row]) -> AsyncIterator[Row]:
        """For each candidate and seed: answers before, a row an optimiser step, answers after. The base model answers
        once; those answers stand under every seed, to be paired with its own."""
        known = {key for row in done if (key := _key(row)) is not None}
        task: Task | None = None
        for one in opened:
            reason = _cannot(one)
            if reason is not None:
                if (one.candidate.name, "failure", "") not in known:
                    yield FailureRow(one.candidate.name, self.name, "axis", "", reason, status="undefined")
                continue
            if task is None:
                task = await asyncio.to_thread(_task, settings.seed, _held_out(settings))
            async with aclosing(_Candidate(one, task, settings, known).rows()) as rows:
                async for row in rows:
                    if _key(row) not in known:
                        yield row


def _held_out(settings: Settings) -> int:
    return HELD_OUT_QUICK if settings.quick else HELD_OUT


@lru_cache(maxsize=1)
def _task(seed: int, held_out: int) -> Task:
    """Drawn once for candidates that are tuned one after the other."""
    return Task.draw(seed, held_out)


def _cannot(one: Opened) -> str | None:
    """Why this candidate is not tuned, or None if it is."""
    if one.candidate.weights == "random":
        return "weights with no training say nothing about tuning"
    if one.checkpoint is None or not isinstance(one.engine, LocalEngine):
        return "no access: only a model in this process can be trained"
    if one.candidate.adapter is not None:
        return "the candidate carries an adapter already; the fine-tune starts from a base model"
    return None


Key = tuple[str, str, str]
"""Candidate, kind, and which of its kind."""


def _key(row: Row) -> Key | None:
    match row:
        case TrainStepRow():
            return row.candidate, "step", f"{row.seed}/{row.step}"
        case TuneAnswerRow():
            return row.candidate, row.phase, f"{row.seed}/{row.sample}"
        case FailureRow():
            return row.candidate, "failure", row.where
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Answer:
    question: Question
    reply: str
    error: str | None


class _Candidate:
    """One candidate's way through the axis."""

    def __init__(self, one: Opened, task: Task, settings: Settings, known: set[Key]) -> None:
        assert isinstance(one.engine, LocalEngine) and one.checkpoint is not None
        self._candidate = one.candidate
        self._checkpoint: Checkpoint = one.checkpoint
        self._engine: LocalEngine = one.engine
        self._task = task
        self._settings = settings
        self._known = known
        self._dialect = one.candidate.dialect or one.engine.info.dialect
        self._data: TrainingSet | None = None
        steps = recipe(0, settings.quick).steps
        self._total = (1 + len(SEEDS)) * len(task.held_out) + len(SEEDS) * steps
        self._finished = 0

    async def rows(self) -> AsyncGenerator[Row, None]:
        left = [seed for seed in SEEDS if not self._is_whole(seed)]
        if not left:
            return
        async with aclosing(self._answers(None)) as answers:
            async for answer in answers:
                for seed in left:
                    yield self._row(answer, seed, "before")
                if answer.error is not None:
                    yield self._failure(f"{NAME}, before, {answer.question.id}", answer.error, None, "sample")
        for seed in left:
            try:
                async with aclosing(self._seed(seed)) as rows:
                    async for row in rows:
                        yield row
            except Exception as error:
                known = explain(error)
                yield self._failure(f"{NAME}, seed {seed}", known.message, known.hint, "benchmark")

    async def _seed(self, seed: int) -> AsyncGenerator[Row, None]:
        folder = self._settings.workdir / "adapters" / f"{_slug(self._candidate.name)}-{NAME}-seed{seed}"
        async with aclosing(self._train(seed, folder)) as steps:
            async for step in steps:
                yield self._step_row(step, seed)
        name = f"{NAME}-seed{seed}"
        await self._engine.load_adapter(name, folder)
        try:
            async with aclosing(self._answers(name)) as answers:
                async for answer in answers:
                    yield self._row(answer, seed, "after")
                    if answer.error is not None:
                        yield self._failure(f"{NAME}, seed {seed}, {answer.question.id}", answer.error, None, "sample")
        finally:
            await self._engine.unload_adapter(name)

    async def _train(self, seed: int, folder: Path) -> AsyncGenerator[Step, None]:
        """Train with the engine's model while the engine rests, and save the adapter."""
        model = self._candidate.model or self._candidate.name
        base = self._checkpoint.folder.name if Path(model).is_dir() else model
        threads = int(self._engine.info.settings["threads"])
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, initializer=lambda: torch.set_num_threads(threads)) as trainer:
            async with self._engine.borrow() as family:
                if self._data is None:
                    examples = self._task.examples(self._dialect)
                    budget = self._candidate.visual_budget
                    self._data = await loop.run_in_executor(trainer, TrainingSet, family, examples, budget)
                with LoraRun(family, recipe(seed, self._settings.quick)) as run:
                    steps = run.steps(self._data)
                    while (step := await loop.run_in_executor(trainer, next, steps, None)) is not None:
                        self._advance(f"{self._candidate.name} · tuning, seed {seed}, loss {step.loss:.2f}")
                        yield step
                    save_adapter(run, folder, data=self._data, base=base, checkpoint=self._checkpoint)

    async def _answers(self, adapter: str | None) -> AsyncGenerator[_Answer, None]:
        """Every held-out question, in order, many at a time."""
        slots = asyncio.Semaphore(WINDOW)

        async def ask(question: Question) -> _Answer:
            async with slots:
                return await self._ask(question, adapter)

        running = [asyncio.create_task(ask(question)) for question in self._task.held_out]
        try:
            for task in running:
                answer = await task
                self._advance(f"{self._candidate.name} · tuning, answering")
                yield answer
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _ask(self, question: Question, adapter: str | None) -> _Answer:
        request = Request(
            id=f"{self._candidate.name}/{NAME}/{adapter or 'base'}/{question.id}",
            conversation=question.asked(self._dialect),
            plan=Plan(self._candidate.name, adapter, visual_budget=self._candidate.visual_budget),
            output=Generate(max_tokens=ANSWER_TOKENS),
        )
        texts: list[str] = []
        done = await listen(self._engine, request, texts)
        return _Answer(question, "".join(texts), done.error)

    # -- rows ------------------------------------------------------------------------------------------------------
    def _is_whole(self, seed: int) -> bool:
        name = self._candidate.name
        broke = (name, "failure", f"{NAME}, seed {seed}") in self._known
        after = all((name, "after", f"{seed}/{q.id}") in self._known for q in self._task.held_out)
        return broke or after

    def _row(self, answer: _Answer, seed: int, phase: Literal["before", "after"]) -> TuneAnswerRow:
        question = answer.question
        return TuneAnswerRow(
            candidate=self._candidate.name,
            task=NAME,
            seed=seed,
            phase=phase,
            sample=question.id,
            image=question.image.source_sha256,
            question=question.text,
            gold=question.gold,
            reply=answer.reply,
            score=0.0 if answer.error is not None else question.score(answer.reply),
        )

    def _step_row(self, step: Step, seed: int) -> TrainStepRow:
        return TrainStepRow(
            candidate=self._candidate.name,
            task=NAME,
            seed=seed,
            step=step.step,
            loss=step.loss,
            learning_rate=step.learning_rate,
            time_ms=step.time_ms,
            peak_bytes=step.peak_bytes,
            grad_norms=step.grad_norms,
        )

    def _failure(self, where: str, message: str, hint: str | None, scope: Literal["benchmark", "sample"]) -> FailureRow:
        return FailureRow(self._candidate.name, Tuning.name, scope, where, message, hint)

    def _advance(self, what: str) -> None:
        self._finished += 1
        self._settings.progress(self._finished, self._total, what)


def _slug(name: str) -> str:
    """A file name for any candidate: readable, and never another candidate's."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:40].strip(".")
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
