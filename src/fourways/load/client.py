"""The load client: a closed loop, timed from when a request was due and not from when the client got round to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from fourways.core.engine import Engine
from fourways.core.errors import FourwaysError
from fourways.core.events import Done, Event
from fourways.core.request import Generate, Request


@dataclass(slots=True)
class Timing:
    """What was observed of one request. Instants are `time.perf_counter_ns()`.

    index: in the requests that were given. started_ns: the loop's start, the same for all of its requests.
    scheduled_ns: when it was due: the start, or the end of the request whose place it took. dispatched_ns: when it was
    handed to the engine; the difference is the client's own delay. content_ns: each event with visible text.
    """

    index: int
    started_ns: int
    scheduled_ns: int
    dispatched_ns: int
    content_ns: list[int] = field(default_factory=list)
    done: Done | None = None
    error: str | None = None
    ended_ns: int = 0


async def closed_loop(
    engine: Engine, requests: Sequence[Request], *, concurrency: int, timeout_s: float = 300.0
) -> AsyncGenerator[Timing, None]:
    """Ask all requests in order, `concurrency` at a time; a place is taken again the moment it is free. Yields each
    timing as its request ends. A failure, or a request that takes longer than `timeout_s`, is a timing with an error;
    nothing is raised for it. Closing the iterator early cancels what runs."""
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, got {concurrency}")
    finished: asyncio.Queue[Timing] = asyncio.Queue()
    waiting = iter(enumerate(requests))
    started_ns = time.perf_counter_ns()
    places = [
        asyncio.create_task(_keep_busy(engine, waiting, finished, started_ns, timeout_s))
        for _ in range(min(concurrency, len(requests)))
    ]
    try:
        for _ in requests:
            yield await finished.get()
    finally:
        for place in places:
            place.cancel()
        await asyncio.gather(*places, return_exceptions=True)


async def _keep_busy(
    engine: Engine,
    waiting: Iterator[tuple[int, Request]],
    finished: asyncio.Queue[Timing],
    started_ns: int,
    timeout_s: float,
) -> None:
    """One place of the loop."""
    due_ns = started_ns
    for index, request in waiting:
        timing = Timing(index, started_ns, due_ns, time.perf_counter_ns())
        await _ask(engine, request, timing, timeout_s)
        due_ns = timing.ended_ns
        finished.put_nowait(timing)


async def _ask(engine: Engine, request: Request, timing: Timing, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await _listen(engine.stream(request), timing)
    except TimeoutError:
        timing.error = f"no end after {timeout_s:g} s"
    except FourwaysError as error:
        timing.error = error.message
    except Exception as error:  # whatever broke is this request's result; the measurement goes on
        timing.error = f"{type(error).__name__}: {error}"
    done = timing.done
    timing.ended_ns = done.time_ns if done is not None and timing.error is None else time.perf_counter_ns()
    if timing.error is None:
        timing.error = _fault(timing, request)


async def _listen(items: AsyncIterator[Event | Done], timing: Timing) -> None:
    try:
        async for item in items:
            if isinstance(item, Done):
                timing.done = item
            elif item.text:
                timing.content_ns.append(item.time_ns)
    finally:
        if isinstance(items, AsyncGenerator):  # ends the request now, where it was cut short
            await items.aclose()


def _fault(timing: Timing, request: Request) -> str | None:
    """Why an ended request does not count as answered."""
    done, output = timing.done, request.output
    if done is None:
        return "the engine's stream ended without a Done"
    if done.error is not None:
        return done.error
    if not timing.content_ns:
        return "the reply had no visible text"
    count = done.usage.completion_tokens
    if isinstance(output, Generate) and output.ignore_eos and count is not None and count != output.max_tokens:
        return f"{count} tokens came, {output.max_tokens} were asked for"
    return None
