"""The load client: loops timed from when a request was due, and not from when the client got round to it.

Nothing that happens to one request moves the instant at which another is due, except in a closed loop, where the end of
one is by definition when the next is due. Whatever a request then waits for (the client's own loop, a thread that
decodes its picture, a place inside the engine) lies between its due instant and its first text, and so in its ttft.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise

from fourways import trace
from fourways.core.engine import Engine
from fourways.core.errors import FourwaysError, UserError
from fourways.core.events import Done, Event
from fourways.core.load import Load
from fourways.core.request import Generate, Request
from fourways.load.ahead import Ahead, EncodesAhead
from fourways.load.arrivals import instants
from fourways.load.pacer import Pacer


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a load. item: its index in the workload; image: source_sha256 of its first picture or clip, ""
    without one. read: decodes its media from their bytes when it is due, in a helper thread, and its time is the stage
    `media_decode`; None: `request` is sent as it is. at_s: of a replay, when it is due, in seconds after the start."""

    request: Request
    item: int
    image: str
    read: Callable[[], Request] | None = None
    at_s: float | None = None


@dataclass(slots=True)
class Timing:
    """What was observed of one request. Instants are `time.perf_counter_ns()`.

    index: in the asks that were given. started_ns: the loop's start, the same for all of its requests. scheduled_ns:
    when it was due: in a closed loop the start, or the end of the request whose place it took. dispatched_ns: when the
    client began on it (gave it to the engine, or its media to be decoded); the difference is the client's own delay.
    content_ns: each event with visible text. decode_ms: how long `Ask.read` ran, None without one.
    """

    index: int
    started_ns: int
    scheduled_ns: int
    dispatched_ns: int
    content_ns: list[int] = field(default_factory=list)
    done: Done | None = None
    error: str | None = None
    ended_ns: int = 0
    decode_ms: float | None = None


async def send(
    engine: Engine, asks: Sequence[Ask], load: Load, *, seed: int = 0, timeout_s: float = 300.0
) -> AsyncGenerator[Timing, None]:
    """Send all requests in order, as `load` says. Yields each timing as its request ends.

    Closed loop: `concurrency` are inside at a time; a place is taken again the moment it is free. Open loops: each
    request is sent at its instant, however many are inside. seed: of Poisson arrivals. A failure, or a request that
    takes longer than `timeout_s`, is a timing with an error; nothing is raised for it, and no engine tries it again.
    Closing the iterator early cancels what runs. Raises UserError for a replay whose asks lack instants or go back in
    time.
    """
    due_s = _due_s(asks, load, seed)
    async with AsyncExitStack() as closing:
        closing.enter_context(_left_alone_by_the_collector())
        decoders = _decoders() if any(ask.read is not None for ask in asks) else None
        if decoders is not None:
            closing.callback(decoders.shutdown, wait=False, cancel_futures=True)
        ahead = await closing.enter_async_context(_ahead(engine, asks))
        sender = _Sender(engine, asks, timeout_s, decoders, ahead)
        closing.push_async_callback(sender.cancel)
        if due_s is None:
            sender.keep_busy(load.concurrency or 1)
        else:
            closing.enter_context(sender.pace(due_s))
        for _ in asks:
            yield await sender.finished.get()


class _Sender:
    """The requests of one `send`, and those of them that run."""

    def __init__(
        self,
        engine: Engine,
        asks: Sequence[Ask],
        timeout_s: float,
        decoders: ThreadPoolExecutor | None,
        ahead: Ahead | None,
    ) -> None:
        self.finished: asyncio.Queue[Timing] = asyncio.Queue()
        self._engine, self._asks = engine, asks
        self._timeout_s, self._decoders, self._ahead = timeout_s, decoders, ahead
        self._running: set[asyncio.Task[object]] = set()
        self._started_ns = 0

    def keep_busy(self, concurrency: int) -> None:
        """A closed loop."""
        self._started_ns = time.perf_counter_ns()
        waiting = iter(range(len(self._asks)))
        for _ in range(min(concurrency, len(self._asks))):
            self._run(self._place(waiting))

    def pace(self, due_s: Sequence[float]) -> Pacer:
        """An open loop. A request's task is made when it is due, so that only those inside take memory."""
        after_ns = [round(at * 1e9) for at in due_s]
        self._started_ns = time.perf_counter_ns()
        due_ns = [self._started_ns + at for at in after_ns]
        return Pacer(due_ns, lambda index: self._run(self._one(index, due_ns[index])))

    async def cancel(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _run(self, work: Coroutine[None, None, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _place(self, waiting: Iterator[int]) -> None:
        """One place of a closed loop."""
        due_ns = self._started_ns
        for index in waiting:
            due_ns = await self._one(index, due_ns)

    async def _one(self, index: int, due_ns: int) -> int:
        """Ask one request; returns when it ended."""
        timing = Timing(index, self._started_ns, due_ns, time.perf_counter_ns())
        ask = self._asks[index]
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                request = self._request(index) if ask.read is None else await self._decoded(ask, ask.read, timing)
                await _listen(self._engine.stream(replace(request, attempts=1)), timing)
        except FourwaysError as error:
            timing.error = error.message
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            timing.error = "the engine gave it up"
        except Exception as error:  # whatever broke is this request's result; the measurement goes on
            timing.error = f"{type(error).__name__}: {error}"
        if limit.expired():
            timing.error = f"no end after {self._timeout_s:g} s"
        done = timing.done
        timing.ended_ns = done.time_ns if done is not None and timing.error is None else time.perf_counter_ns()
        if timing.error is None:
            timing.error = _fault(timing, ask.request)
        self.finished.put_nowait(timing)
        return timing.ended_ns

    def _request(self, index: int) -> Request:
        made = self._ahead.take(index) if self._ahead is not None else None
        return made or self._asks[index].request

    async def _decoded(self, ask: Ask, read: Callable[[], Request], timing: Timing) -> Request:
        track = trace.track(ask.request.label)
        instants: list[int] = []

        def run() -> Request:
            instants.append(time.perf_counter_ns())
            try:
                return read()
            finally:
                instants.append(time.perf_counter_ns())

        try:
            return await asyncio.get_running_loop().run_in_executor(self._decoders, run)
        finally:
            if len(instants) == 2:  # else time ran out before its end
                started_ns, ended_ns = instants
                timing.decode_ms = (ended_ns - started_ns) / 1e6
                trace.mark("media_decode", started_ns, ended_ns, track)


def _due_s(asks: Sequence[Ask], load: Load, seed: int) -> list[float] | None:
    """When each request of an open loop is due; None for a closed one."""
    if load.arrivals == "closed":
        return None
    if load.arrivals != "replay":
        return instants(load, len(asks), seed)
    due = [ask.at_s for ask in asks if ask.at_s is not None]
    if len(due) < len(asks):
        raise UserError(f"{len(asks) - len(due)} of {len(asks)} requests of the replay have no instant")
    if any(not 0 <= at < math.inf for at in due) or any(after < before for before, after in pairwise(due)):
        raise UserError("a replay's instants must be finite, must not be negative, and must not go back in time")
    return due


def _ahead(engine: Engine, asks: Sequence[Ask]) -> AbstractAsyncContextManager[Ahead | None]:
    """Pictures that a server is sent are encoded by the client; text costs less than the bookkeeping would."""
    if not isinstance(engine, EncodesAhead):
        return nullcontext()
    plain = {i: ask.request for i, ask in enumerate(asks) if ask.read is None and ask.request.conversation.visuals}
    return Ahead(engine, plain) if plain else nullcontext()


@contextmanager
def _left_alone_by_the_collector() -> Iterator[None]:
    """With torch and transformers loaded, a full collection walks 400,000 objects, and for 0.2 s nothing is sent or
    stamped. What is there already is not looked at again until the sending is over."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _decoders() -> ThreadPoolExecutor:
    """As many threads as the local engine prepares pictures in: half of the cores, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(max(1, min(4, cores // 2)), thread_name_prefix="media-decode")


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
