"""Many samples of one candidate at once: a window of requests that is kept full, and the pictures read ahead of it.

Samples are admitted in their order, so that questions about one image meet in the caches; memory grows with the window,
not with the number of samples.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import islice

import msgspec

from fourways.axes.asking import Picture, ask, read_picture
from fourways.axes.contract import Opened
from fourways.benchmarks.contract import Benchmark, Sample
from fourways.core.errors import MediaError
from fourways.core.rows import CAUSE, PICTURE, AnswerRow

READ_AHEAD = 8
"""Samples whose pictures are read at once, since each turn of another thread has its price; and as many again are ready
before they are wanted."""

FORGET_EVERY = 192
"""Samples after which the engine's caches are emptied, as soon as the next is about another image. Questions about one
image stand together, so what is forgotten would hardly be used again, and kept it would fill the caches' whole bounds
with the number of samples."""


class Window:
    """Asks an opened candidate, at most `width` requests at a time. seed: of the run."""

    def __init__(self, one: Opened, seed: int, width: int) -> None:
        self._one, self._seed, self._width = one, seed, width
        self._unforgotten = 0

    async def rows(self, benchmark: Benchmark, samples: Sequence[Sample]) -> AsyncGenerator[AnswerRow, None]:
        """A row for each sample, as they finish. A new request begins the moment one ends."""
        ended: asyncio.Queue[asyncio.Task[AnswerRow] | asyncio.Task[None]] = asyncio.Queue()
        running: set[asyncio.Task[AnswerRow]] = set()
        admitting = asyncio.create_task(self._admit(benchmark, samples, running, ended))
        admitting.add_done_callback(lambda task: ended.put_nowait(task) if _broke(task) else None)
        try:
            for _ in samples:
                row = (await ended.get()).result()
                assert row is not None  # admitting ends up here only with its exception
                yield row
        finally:
            for task in (admitting, *running):
                task.cancel()
            await asyncio.gather(admitting, *running, return_exceptions=True)

    async def _admit(
        self,
        benchmark: Benchmark,
        samples: Sequence[Sample],
        running: set[asyncio.Task[AnswerRow]],
        ended: asyncio.Queue[asyncio.Task[AnswerRow] | asyncio.Task[None]],
    ) -> None:
        places = asyncio.Semaphore(self._width)

        def leave(task: asyncio.Task[AnswerRow]) -> None:
            running.discard(task)
            ended.put_nowait(task)
            places.release()

        last = ""
        async with aclosing(_read_ahead(samples)) as pictures:
            async for sample, picture in pictures:
                await places.acquire()
                if sample.image_key != last:
                    await self._forget()
                task = asyncio.create_task(self._ask(benchmark, sample, picture))
                running.add(task)
                task.add_done_callback(leave)
                last, self._unforgotten = sample.image_key, self._unforgotten + 1

    async def _forget(self) -> None:
        if self._unforgotten >= FORGET_EVERY:
            self._unforgotten = 0
            await self._one.engine.clear_caches()

    async def _ask(self, benchmark: Benchmark, sample: Sample, picture: Picture) -> AnswerRow:
        row = await ask(self._one, benchmark, sample, picture, self._seed)
        if isinstance(picture.error, MediaError):
            return msgspec.structs.replace(row, extra={**row.extra, CAUSE: PICTURE})
        return row


def _broke(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is not None


async def _read_ahead(samples: Sequence[Sample]) -> AsyncGenerator[tuple[Sample, Picture], None]:
    """Each sample with its picture. While some are asked, the next are read in another thread."""
    waiting = _with_pictures(samples)

    def read() -> asyncio.Task[list[tuple[Sample, Picture]]]:
        return asyncio.create_task(asyncio.to_thread(lambda: list(islice(waiting, READ_AHEAD))))

    reading = read()
    try:
        while ready := await reading:
            reading = read()
            for one in ready:
                yield one
    finally:
        reading.cancel()


def _with_pictures(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Picture]]:
    """Each sample with its image, read once for questions that stand together. A bad one is read again for each, so
    that the error names the sample it costs."""
    key, picture = "", Picture("", None)
    for sample in samples:
        if sample.image_key != key or picture.image is None:
            key, picture = sample.image_key, read_picture(sample)
        yield sample, picture
