"""Accuracy: every sample of every benchmark asked once, each answer a row.

Requests are admitted through a window, in the order of the images, so that many run at once, questions about one image
meet in the feature cache, and memory does not grow with the number of samples. A sample whose image cannot be read, or
whose request fails, is a row with status "failed" and a score of 0. An interrupted run goes on with what has no row.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import ClassVar

from fourways.axes.asking import Picture, ask, read_picture
from fourways.axes.contract import Opened, Settings
from fourways.benchmarks.contract import Benchmark, Sample
from fourways.benchmarks.draw import draw
from fourways.benchmarks.suite import Entry
from fourways.core.candidate import Candidate
from fourways.core.errors import BenchmarkFormatError
from fourways.core.figure import Axis as AxisName
from fourways.core.rows import AnswerRow, FailureRow, Row

WINDOW = 128
"""Requests in flight. The engine decides how many of them it batches; the rest wait in its queue."""

READ_AHEAD = 8
"""Samples whose pictures are read at once, since each turn of another thread has its price."""

FORGET_EVERY = 192
"""Samples after which the engine's caches are emptied. Questions about one image stand together, so what is forgotten
would hardly be used again, and kept it would fill the caches' whole bounds with the number of samples."""

_SECONDS_A_SAMPLE = 0.03


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
            for key, entry in settings.suite.items():
                if (reason := _cannot_ask(entry.benchmark, one)) is not None:
                    yield FailureRow(one.candidate.name, self.name, "benchmark", key, reason, status="undefined")
                    continue
                try:
                    samples = samples_of(entry, settings)
                except BenchmarkFormatError as error:
                    yield FailureRow(one.candidate.name, self.name, "benchmark", key, error.message, error.hint)
                    continue
                left = [s for s in samples if (one.candidate.name, key, s.id) not in answered]
                async with aclosing(_ask_all(one, entry.benchmark, left, len(samples), settings)) as rows:
                    async for row in rows:
                        yield row


def samples_of(entry: Entry, settings: Settings) -> list[Sample]:
    """The samples of a run: drawn by its seed if limited, questions about one image adjacent. Holds no pixels."""
    return draw(entry.read(), settings.limit, settings.seed)


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


async def _ask_all(
    one: Opened, benchmark: Benchmark, samples: Sequence[Sample], total: int, settings: Settings
) -> AsyncGenerator[AnswerRow, None]:
    what = f"{one.candidate.name} · {benchmark.title}"
    admitted, finished = 0, total - len(samples)
    waiting, ahead = _with_pictures(samples), deque[tuple[Sample, Picture]]()
    running: set[asyncio.Task[AnswerRow]] = set()
    settings.progress(finished, total, what)
    try:
        while True:
            while len(running) < WINDOW and (following := await _next(waiting, ahead)) is not None:
                running.add(asyncio.create_task(ask(one, benchmark, *following, settings.seed)))
                admitted += 1
                if admitted % FORGET_EVERY == 0:
                    await one.engine.clear_caches()
            if not running:
                return
            ready, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in ready:
                yield task.result()
                finished += 1
                settings.progress(finished, total, what)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _next(
    waiting: Iterator[tuple[Sample, Picture]], ahead: deque[tuple[Sample, Picture]]
) -> tuple[Sample, Picture] | None:
    """The next sample with its picture. Pictures are read in another thread, a few at a time."""
    if not ahead:
        ahead.extend(await asyncio.to_thread(lambda: list(islice(waiting, READ_AHEAD))))
    return ahead.popleft() if ahead else None


def _with_pictures(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Picture]]:
    """Each sample with its image, read once for questions that stand together. A bad one is read again for each, so
    that the error names the sample it costs."""
    key, picture = "", Picture("", None)
    for sample in samples:
        if sample.image_key != key or picture.image is None:
            key, picture = sample.image_key, read_picture(sample)
        yield sample, picture
