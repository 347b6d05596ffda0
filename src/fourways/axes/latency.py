"""Latency: `describe-32`, one request at a time and eight at a time, on pictures never seen before and on known ones.

Candidates take turns in blocks (A B C, A B C, …), so that a machine that drifts favours none. A block is a few
pictures: every candidate answers about them *cold*, then each again *warm*, and the next block has other pictures.
Cold: the engine has never been asked about the picture (a local engine forgets before each part all that it kept; a
server cannot be told to, so a run that times one draws new pictures). Warm: it was asked in the same block, and may use
what it kept: the picture's features, and the beginning of the prompt. Where an engine says that a picture was or was
not in its cache, and that is not what the row claims, the row is an error and not a number.

All loops here are closed. In an open one candidates would have to share a rate that overloads the slowest or leaves the
fastest idle, and the table would compare neither; `fourways load` asks for a rate, and searches for the highest.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from fourways.axes.contract import Opened, Settings
from fourways.axes.observing import OBSERVERS, Block
from fourways.axes.roofline import roofline
from fourways.core.candidate import Candidate
from fourways.core.errors import FourwaysError
from fourways.core.events import Done
from fourways.core.figure import Axis as AxisName
from fourways.core.load import Load
from fourways.core.request import Plan, derive_seed
from fourways.core.rows import FailureRow, RequestRow, Row
from fourways.load import DESCRIBE_32, Ask, Workload, draw, read_workload, request_row, send

CONCURRENCIES = (1, 8)
PICTURES, PICTURES_QUICK = 80, 32
BLOCK = 16
"""Pictures a block: whole rounds at either concurrency, and each size of picture equally often."""
WARM_UP = 8
TIMEOUT_S = 300.0
Cache = Literal["cold", "warm"]
PASSES: tuple[Cache, ...] = ("cold", "warm")
_SECONDS_A_REQUEST = 0.08
_SECONDS_OF_LIMITS = 2.0


class Latency:
    """The latency axis. An interrupted one starts again: `done` is not used."""

    name: ClassVar[AxisName] = "latency"

    def estimate(self, candidates: Sequence[Candidate], settings: Settings) -> tuple[int, float]:
        """Timed requests, and seconds for models as small as the embedded ones."""
        requests = len(candidates) * len(CONCURRENCIES) * len(PASSES) * _pictures(settings)
        local = sum(candidate.model is not None for candidate in candidates)
        return requests, requests * _SECONDS_A_REQUEST + local * _SECONDS_OF_LIMITS

    async def rows(self, opened: Sequence[Opened], settings: Settings, done: Sequence[Row]) -> AsyncIterator[Row]:
        """A RequestRow for each timed request, failed ones too; a FailureRow for a candidate that answers nothing."""
        total = len(opened) * len(CONCURRENCIES) * len(PASSES) * _pictures(settings)
        finished = 0
        lost: set[str] = set()
        asked = parts(opened, settings)
        for part in asked:
            async for failure in _warm_up(part, [one for one in opened if one.candidate.name not in lost]):
                lost.add(failure.candidate)
                yield failure
            for turn in turns(part, len(opened)):
                one = opened[turn.candidate]
                if one.candidate.name in lost:
                    continue
                what = f"{one.candidate.name} · {part.load.concurrency} at a time"
                async with aclosing(_answered(part, turn, one)) as rows:
                    async for row in rows:
                        yield row
                        if isinstance(row, RequestRow):
                            finished += 1
                            settings.progress(finished, total, what)
                        elif isinstance(row, FailureRow) and row.scope == "axis":
                            lost.add(row.candidate)
        for one in opened:
            if one.candidate.name not in lost:
                async with aclosing(_limits(asked[0], one)) as found:
                    async for limit in found:
                        yield limit


@dataclass(frozen=True, slots=True)
class Part:
    """One load with pictures of its own. items, warming: indices in the workload. run_seed: of the requests."""

    load: Load
    workload: Workload
    items: range
    warming: range
    run_seed: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One candidate's go at one block. candidate: its place among the opened ones. items: indices in the workload."""

    block: int
    cache: Cache
    candidate: int
    items: range


def workload(run_seed: int, luck: str = "") -> Workload:
    """The axis's workload, drawn by the run's seed. luck: anything else that it should depend on."""
    seed = derive_seed(run_seed, "latency")
    return draw(read_workload(DESCRIBE_32), seed=derive_seed(seed, luck) if luck else seed)


def parts(opened: Sequence[Opened], settings: Settings) -> list[Part]:
    """No picture is in two parts. They are drawn by the run's seed; where a server is timed, by chance too, since it
    may remember an earlier run."""
    luck = secrets.token_hex(8) if any(one.checkpoint is None for one in opened) else ""
    drawn, count = workload(settings.seed, luck), _pictures(settings)
    return [
        Part(
            Load(concurrency=concurrency),
            drawn,
            range(index * count, (index + 1) * count),
            range(index * WARM_UP, (index + 1) * WARM_UP),
            settings.seed,
        )
        for index, concurrency in enumerate(CONCURRENCIES)
    ]


def turns(part: Part, candidates: int) -> list[Turn]:
    """Who asks what, in order."""
    blocks = [part.items[start : start + BLOCK] for start in range(0, len(part.items), BLOCK)]
    return [
        Turn(block, cache, candidate, items)
        for block, items in enumerate(blocks)
        for cache in PASSES
        for candidate in range(candidates)
    ]


def _pictures(settings: Settings) -> int:
    return PICTURES_QUICK if settings.quick else PICTURES


async def _warm_up(part: Part, opened: Sequence[Opened]) -> AsyncGenerator[FailureRow, None]:
    """Ask about other pictures at the same load, so that code and memory are as they will be; then forget."""
    for one in opened:
        # The measured pictures are drawn now, so that nobody's first turn comes after more work than another's.
        await asyncio.to_thread(_asks, part, one, part.items, "drawn")
        asks = part.workload.warm_up(
            _plan(one), engine=one.engine.info, items=part.warming, run_seed=part.run_seed,
            prefix=f"{part.load.label}/warm-up",
        )  # fmt: skip
        errors = []
        async with aclosing(send(one.engine, asks, part.load, timeout_s=TIMEOUT_S)) as timings:
            async for timing in timings:
                errors.append(timing.error)
        await one.engine.clear_caches()
        if all(error is not None for error in errors):
            yield _lost(one, f"{part.workload.name}, warm-up", errors[0])


async def _answered(part: Part, turn: Turn, one: Opened) -> AsyncGenerator[Row, None]:
    """One block's rows, as the requests end; then what its observers saw, and a FailureRow if nothing was answered."""
    block = Block(one, part.workload.name, part.load, turn.cache, turn.block)
    asks = _asks(part, one, turn.items, turn.cache)
    rows: list[RequestRow] = []
    async with AsyncExitStack() as watching:
        tells = [await watching.enter_async_context(observer(block)) for observer in OBSERVERS]
        timings = await watching.enter_async_context(aclosing(send(one.engine, asks, part.load, timeout_s=TIMEOUT_S)))
        async for timing in timings:
            timing.error = timing.error or _untrue(timing.done, turn.cache)
            rows.append(
                request_row(
                    timing,
                    asks[timing.index],
                    candidate=one.candidate.name,
                    workload=block.workload,
                    load=block.load,
                    cache=block.cache,
                    block=block.number,
                )
            )
            yield rows[-1]
    for tell in tells:
        for row in tell(rows):
            yield row
    if all(row.error is not None for row in rows):
        yield _lost(one, f"{part.workload.name}, block {turn.block}, {turn.cache}", rows[0].error)


async def _limits(part: Part, one: Opened) -> AsyncGenerator[Row, None]:
    """What the requests of a first block require, and what the machine could do; after all that is timed. Where that
    cannot be found, the times stand all the same."""
    asks = _asks(part, one, part.items[:BLOCK], "limits")
    decoded = [replace(ask, request=ask.read()) for ask in asks if ask.read is not None]
    try:
        async with aclosing(roofline(one, part.workload.name, decoded)) as rows:
            async for row in rows:
                yield row
    except Exception as error:
        told = error.message if isinstance(error, FourwaysError) else f"{type(error).__name__}: {error}"
        yield FailureRow(one.candidate.name, Latency.name, "sample", "physical limits", told)


def _asks(part: Part, one: Opened, items: range, prefix: str) -> list[Ask]:
    return part.workload.asks(
        _plan(one), engine=one.engine.info, items=items, run_seed=part.run_seed, prefix=f"{part.load.label}/{prefix}"
    )


def _untrue(done: Done | None, cache: Cache) -> str | None:
    """What the engine says against the row's claim; None where it agrees or cannot tell."""
    if done is None or not done.visuals:
        return None
    if cache == "cold" and any(visual.cached for visual in done.visuals):
        return "not cold: the engine had this picture in its cache"
    if cache == "warm" and not all(visual.cached for visual in done.visuals):
        return "not warm: the engine's cache no longer held this picture"
    return None


def _plan(one: Opened) -> Plan:
    candidate = one.candidate
    return Plan(candidate.name, candidate.adapter, visual_budget=candidate.visual_budget)


def _lost(one: Opened, where: str, error: str | None) -> FailureRow:
    return FailureRow(one.candidate.name, Latency.name, "axis", where, f"every request failed; the first: {error}")
