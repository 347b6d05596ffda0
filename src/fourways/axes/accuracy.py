"""Accuracy: every sample of every benchmark asked once, each answer a row.

Requests are admitted through a window, in the order of the images, so that many run at once, questions about one image
meet in the feature cache, and memory does not grow with the number of samples. A sample whose image cannot be read, or
whose request fails, is a row with status "failed" and a score of 0. An interrupted run goes on with what has no row.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

from fourways.axes.contract import Opened, Settings
from fourways.benchmarks import registry
from fourways.benchmarks.contract import Benchmark, ReplyContext, Sample
from fourways.benchmarks.draw import draw
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation, Image
from fourways.core.errors import BenchmarkFormatError, EngineError, FourwaysError, MediaError
from fourways.core.events import Done, Event, Usage
from fourways.core.figure import Axis as AxisName
from fourways.core.request import Generate, Plan, Request, derive_seed
from fourways.core.rows import AnswerRow, FailureRow, Row
from fourways.media import read_image

WINDOW = 128
"""Requests in flight. The engine decides how many of them it batches; the rest wait in its queue."""

READ_AHEAD = 8
"""Samples whose pictures are read at once, since each turn of another thread has its price."""

FORGET_EVERY = 192
"""Samples after which the engine's caches are emptied. Questions about one image stand together, so what is forgotten
would hardly be used again, and kept it would fill the caches' whole bounds with the number of samples."""

_SECONDS_A_SAMPLE = 0.03


@dataclass(frozen=True, slots=True)
class _Picture:
    """The image of a sample, or why there is none. sha256: of the file's bytes, or the image's key if unreadable."""

    sha256: str
    image: Image | None
    error: FourwaysError | None = None


class Accuracy:
    """The accuracy axis. Goes on after an interruption: `done` rows are skipped."""

    name: ClassVar[AxisName] = "accuracy"

    def estimate(self, candidates: Sequence[Candidate], settings: Settings) -> tuple[int, float]:
        """Samples to ask, and seconds at the pace of the embedded models on two cores."""
        samples = sum(len(samples_of(registry.get(key), settings)) for key in settings.suite)
        asked = samples * sum(candidate.weights == "trained" for candidate in candidates)
        return asked, asked * _SECONDS_A_SAMPLE

    async def rows(self, opened: Sequence[Opened], settings: Settings, done: Sequence[Row]) -> AsyncIterator[Row]:
        """One AnswerRow a sample, as they finish; a FailureRow for what could not be asked at all."""
        answered = {(row.candidate, row.benchmark, row.sample) for row in done if isinstance(row, AnswerRow)}
        for one in opened:
            if (reason := _cannot(one)) is not None:
                yield FailureRow(one.candidate.name, self.name, "axis", "", reason, status="undefined")
                continue
            for key in settings.suite:
                if (reason := registry.get(key).undefined(one.engine.info)) is not None:
                    yield FailureRow(one.candidate.name, self.name, "benchmark", key, reason, status="undefined")
                    continue
                try:
                    samples = samples_of(registry.get(key), settings)
                except BenchmarkFormatError as error:
                    yield FailureRow(one.candidate.name, self.name, "benchmark", key, error.message, error.hint)
                    continue
                left = [s for s in samples if (one.candidate.name, key, s.id) not in answered]
                async with aclosing(_ask_all(one, registry.get(key), left, len(samples), settings)) as rows:
                    async for row in rows:
                        yield row


def samples_of(benchmark: Benchmark, settings: Settings) -> list[Sample]:
    """The samples of a run: drawn by its seed if limited, questions about one image adjacent. Holds no pixels."""
    return draw(benchmark.read(settings.suite[benchmark.key]), settings.limit, settings.seed)


def _cannot(one: Opened) -> str | None:
    """Why this candidate has no accuracy, or None if it has."""
    if one.candidate.weights == "random":
        return "weights with no training say nothing about accuracy"
    if "generate" not in one.engine.info.capabilities:
        return "no access: the engine cannot generate"
    return None


async def _ask_all(
    one: Opened, benchmark: Benchmark, samples: Sequence[Sample], total: int, settings: Settings
) -> AsyncGenerator[AnswerRow, None]:
    what = f"{one.candidate.name} · {benchmark.title}"
    admitted, finished = 0, total - len(samples)
    waiting, ahead = _with_pictures(samples), deque[tuple[Sample, _Picture]]()
    running: set[asyncio.Task[AnswerRow]] = set()
    settings.progress(finished, total, what)
    try:
        while True:
            while len(running) < WINDOW and (following := await _next(waiting, ahead)) is not None:
                running.add(asyncio.create_task(_ask(one, benchmark, *following, settings.seed)))
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
    waiting: Iterator[tuple[Sample, _Picture]], ahead: deque[tuple[Sample, _Picture]]
) -> tuple[Sample, _Picture] | None:
    """The next sample with its picture. Pictures are read in another thread, a few at a time."""
    if not ahead:
        ahead.extend(await asyncio.to_thread(lambda: list(islice(waiting, READ_AHEAD))))
    return ahead.popleft() if ahead else None


def _with_pictures(samples: Sequence[Sample]) -> Iterator[tuple[Sample, _Picture]]:
    """Each sample with its image, read once for questions that stand together. A bad one is read again for each, so
    that the error names the sample it costs."""
    key, picture = "", _Picture("", None)
    for sample in samples:
        if sample.image_key != key or picture.image is None:
            key, picture = sample.image_key, _read(sample)
        yield sample, picture


def _read(sample: Sample) -> _Picture:
    try:
        source = sample.image()
    except (OSError, FourwaysError) as error:
        why = error.message if isinstance(error, FourwaysError) else f"{error.strerror or error}"
        return _Picture(sample.image_key, None, MediaError(f"{sample.id}: the image cannot be read: {why}"))
    try:
        image = read_image(source, name=sample.id)
    except MediaError as error:
        return _Picture(hashlib.sha256(source).hexdigest(), None, error)
    return _Picture(image.source_sha256, image)


async def _ask(one: Opened, benchmark: Benchmark, sample: Sample, picture: _Picture, run_seed: int) -> AnswerRow:
    info = one.engine.info
    prompt = benchmark.prompt(sample, one.candidate.dialect or info.dialect)
    seed = derive_seed(run_seed, f"{benchmark.key}/{sample.id}")
    if picture.image is None:
        assert picture.error is not None
        reply, done = "", _failed(picture.error)
    else:
        request = Request(
            id=f"{one.candidate.name}/{benchmark.key}/{sample.id}",
            conversation=Conversation.ask(prompt, picture.image),
            plan=Plan(one.candidate.name, one.candidate.adapter, visual_budget=one.candidate.visual_budget),
            output=_sampled(benchmark.output(sample), one.candidate, seed),
        )
        reply, done = await _reply(one, request)
    failed = done.finish_reason in ("error", "cancelled")
    parsed = None if failed else benchmark.parse(sample, reply, ReplyContext(info.box_format, done.visuals))
    return AnswerRow(
        candidate=one.candidate.name,
        benchmark=benchmark.key,
        sample=sample.id,
        group=sample.group,
        image=picture.sha256,
        category=sample.category,
        question=sample.question,
        gold=sample.gold,
        reply=reply,
        parsed=parsed,
        score=0.0 if failed else benchmark.score(sample, parsed),
        status="failed" if failed else "unparsed" if parsed is None else "ok",
        finish_reason=done.finish_reason,
        mean_logprob=done.mean_logprob,
        output_tokens=done.usage.completion_tokens,
        visuals=done.visuals,
        prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
        seed=seed,
        extra=_extra(sample, done),
    )


def _extra(sample: Sample, done: Done) -> dict[str, str]:
    """The sample's own, with what a reader needs to follow the question: the options as they stood, and the error."""
    options = {f"option {letter}": text for letter, text in sample.options.items()}
    return {**sample.extra, **options, **({} if done.error is None else {"error": done.error})}


async def _reply(one: Opened, request: Request) -> tuple[str, Done]:
    """The whole text and its end. Whatever an engine raises is this request's failure, and no other's."""
    texts: list[str] = []
    try:
        async with aclosing(one.engine.stream(request)) as events:  # type: ignore[type-var]  # a stream is a generator
            async for event in events:
                if isinstance(event, Event):
                    texts.append(event.text)
                else:
                    return "".join(texts), event
    except FourwaysError as error:
        return "".join(texts), _failed(error)
    except Exception as error:
        return "".join(texts), _failed(EngineError(f"the engine failed: {type(error).__name__}: {error}"))
    return "".join(texts), _failed(EngineError("the engine's reply stopped without an end"))


def _failed(error: FourwaysError) -> Done:
    return Done("error", Usage(None, None, None), 0, error=error.message, hint=error.hint)


def _sampled(output: Generate, candidate: Candidate, seed: int) -> Generate:
    """The benchmark's output under the candidate's own sampling, with the request's seed."""
    asked = candidate.sampling
    return replace(
        output,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        presence_penalty=asked.presence_penalty,
        repetition_penalty=asked.repetition_penalty,
        seed=seed,
    )
