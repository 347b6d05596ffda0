"""Accuracy: every sample of every benchmark asked once, each answer a row.

A sample whose image cannot be read, or whose request fails, is a row with status "failed" and a score of 0. An
interrupted run goes on with what has no row, whoever asked the rest: the engine of this process or a crew of workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

from fourways.axes.asking import Picture, ask
from fourways.axes.contract import Opened, Settings
from fourways.axes.crew import Crew, GivenUp
from fourways.axes.sharing import chunks_of, shard_of
from fourways.axes.window import Window
from fourways.benchmarks.contract import Benchmark, Sample
from fourways.benchmarks.draw import draw
from fourways.benchmarks.suite import Entry
from fourways.core.candidate import Candidate
from fourways.core.errors import BenchmarkFormatError, EngineError, FourwaysError
from fourways.core.figure import Axis as AxisName
from fourways.core.rows import AnswerRow, FailureRow, Row

WINDOW = 128
"""Requests in flight to an engine in this process. It decides how many of them it batches; the rest wait in its queue.
Of a server by URL, `Settings.concurrency` are in flight."""

_SECONDS_A_SAMPLE = 0.03


@dataclass(frozen=True, slots=True)
class _Part:
    """What is left to ask of a benchmark, and the size of the whole."""

    benchmark: Benchmark
    left: list[Sample]
    total: int


class Accuracy:
    """The accuracy axis. Goes on after an interruption: `done` rows are skipped."""

    name: ClassVar[AxisName] = "accuracy"

    def estimate(self, candidates: Sequence[Candidate], settings: Settings) -> tuple[int, float]:
        """Samples to ask, and seconds at the pace of the embedded models on two cores."""
        samples = sum(len(samples_of(entry, settings)) for entry in settings.suite.values())
        asked = samples * sum(candidate.weights == "trained" for candidate in candidates)
        return asked, asked * _SECONDS_A_SAMPLE

    async def rows(self, opened: Sequence[Opened], settings: Settings, done: Sequence[Row]) -> AsyncIterator[Row]:
        """One AnswerRow a sample, as they finish; a FailureRow for what could not be asked at all."""
        answered = {(row.candidate, row.benchmark, row.sample) for row in done if isinstance(row, AnswerRow)}
        for one in opened:
            if (reason := _cannot(one)) is not None:
                yield FailureRow(one.candidate.name, self.name, "axis", "", reason, status="undefined")
                continue
            parts: list[_Part] = []
            for key, entry in settings.suite.items():
                found = _part(one, key, entry, settings, answered)
                if isinstance(found, FailureRow):
                    yield found
                else:
                    parts.append(found)
            async with aclosing(_shown(one, parts, settings)) as rows:
                async for row in rows:
                    yield row


def samples_of(entry: Entry, settings: Settings) -> list[Sample]:
    """The samples of a run: drawn by its seed if limited, its shard of them, questions about one image adjacent. Holds
    no pixels."""
    drawn = draw(entry.read(), settings.limit, settings.seed)
    return drawn if settings.shard is None else shard_of(drawn, settings.shard, entry.benchmark.key)


def _cannot(one: Opened) -> str | None:
    """Why this candidate has no accuracy, or None if it has."""
    if one.candidate.weights == "random":
        return "weights with no training say nothing about accuracy"
    if "generate" not in one.engine.info.capabilities:
        return "no access: the engine cannot generate"
    return None


def _cannot_ask(benchmark: Benchmark, one: Opened) -> str | None:
    """Why this candidate cannot be asked or judged on this benchmark, or None if it can."""
    if benchmark.ranks and "rank" not in one.engine.info.capabilities:
        return "no access: the engine does not tell how likely a given reply is"
    return benchmark.undefined(one.engine.info)


def _part(
    one: Opened, key: str, entry: Entry, settings: Settings, answered: set[tuple[str, str, str]]
) -> _Part | FailureRow:
    name = one.candidate.name
    if (reason := _cannot_ask(entry.benchmark, one)) is not None:
        return FailureRow(name, Accuracy.name, "benchmark", key, reason, status="undefined")
    try:
        samples = samples_of(entry, settings)
    except BenchmarkFormatError as error:
        return FailureRow(name, Accuracy.name, "benchmark", key, error.message, error.hint)
    return _Part(entry.benchmark, [s for s in samples if (name, key, s.id) not in answered], len(samples))


async def _shown(one: Opened, parts: Sequence[_Part], settings: Settings) -> AsyncGenerator[AnswerRow, None]:
    """The rows, with a bar for each benchmark, whoever answers."""
    titles = {part.benchmark.key: f"{one.candidate.name} · {part.benchmark.title}" for part in parts}
    totals = {part.benchmark.key: part.total for part in parts}
    finished = {part.benchmark.key: part.total - len(part.left) for part in parts}
    for key, count in finished.items():
        settings.progress(count, totals[key], titles[key])
    asked = _by_engine(one, parts, settings) if one.crew is None else _by_crew(one, one.crew, parts, settings)
    async with aclosing(asked) as rows:
        async for row in rows:
            yield row
            key = row.benchmark
            finished[key] += 1
            settings.progress(finished[key], totals[key], titles[key])


async def _by_engine(one: Opened, parts: Iterable[_Part], settings: Settings) -> AsyncGenerator[AnswerRow, None]:
    window = Window(one, settings.seed, WINDOW if one.candidate.url is None else settings.concurrency)
    for part in parts:
        async with aclosing(window.rows(part.benchmark, part.left)) as rows:
            async for row in rows:
                yield row


async def _by_crew(
    one: Opened, crew: Crew, parts: Sequence[_Part], settings: Settings
) -> AsyncGenerator[AnswerRow, None]:
    """All benchmarks at once, so that no worker waits where one ends."""
    chunks = [chunk for part in parts for chunk in chunks_of(part.benchmark.key, part.left, crew.hands)]
    by_key = {part.benchmark.key: part for part in parts}
    async with aclosing(crew.answers(chunks)) as answers:
        async for answer in answers:
            if isinstance(answer, GivenUp):
                answer = await _given_up(one, by_key[answer.chunk.benchmark], answer, settings)
            for row in answer:
                yield row


async def _given_up(one: Opened, part: _Part, lost: GivenUp, settings: Settings) -> tuple[AnswerRow, ...]:
    """A failed row for each sample of it. Its pictures are not decoded here: one of them may be what kills."""
    names = frozenset(lost.chunk.samples)
    error = EngineError(lost.reason)
    return tuple(
        [
            await ask(one, part.benchmark, sample, Picture(_identity(sample), None, error), settings.seed)
            for sample in part.left
            if sample.id in names
        ]
    )


def _identity(sample: Sample) -> str:
    try:
        return hashlib.sha256(sample.image()).hexdigest()
    except (OSError, FourwaysError):
        return sample.image_key
