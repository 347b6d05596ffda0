"""Latency: `describe-32`, one request at a time and eight at a time, on pictures never seen before and on known ones.

Candidates take turns in blocks (A B C, A B C, …), so that a machine that drifts favours none. A block is a few
pictures: every candidate answers about them *cold*, then each again *warm*, and the next block has other pictures.
Cold: the engine has never been asked about the picture (a local engine forgets before each part all that it kept; a
server cannot be told to, so a run that times one draws new pictures). Warm: it was asked in the same block, and may use
what it kept: the picture's features, and the beginning of the prompt. Where an engine says that a picture was or was
not in its cache, and that is not what the row claims, the row is an error and not a number.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar, Literal

from fourways.axes.contract import Opened, Settings
from fourways.core.candidate import Candidate
from fourways.core.events import Done
from fourways.core.figure import Axis as AxisName
from fourways.core.load import Load
from fourways.core.request import Plan, derive_seed
from fourways.core.rows import FailureRow, RequestRow, Row
from fourways.load import Ask, Workload, describe_32, request_row, send
from fourways.zoo import latency_scenes

CONCURRENCIES = (1, 8)
PICTURES, PICTURES_QUICK = 80, 32
BLOCK = 16
"""Pictures a block: whole rounds at either concurrency."""
WARM_UP = 8
TIMEOUT_S = 300.0
Cache = Literal["cold", "warm"]
PASSES: tuple[Cache, ...] = ("cold", "warm")
_SECONDS_A_REQUEST = 0.08


class Latency:
    """The latency axis. An interrupted one starts again: `done` is not used."""

    name: ClassVar[AxisName] = "latency"

    def estimate(self, candidates: Sequence[Candidate], settings: Settings) -> tuple[int, float]:
        """Timed requests, and seconds for models as small as the embedded ones."""
        requests = len(candidates) * len(CONCURRENCIES) * len(PASSES) * _pictures(settings)
        return requests, requests * _SECONDS_A_REQUEST

    async def rows(self, opened: Sequence[Opened], settings: Settings, done: Sequence[Row]) -> AsyncIterator[Row]:
        """A RequestRow for each timed request, failed ones too; a FailureRow for a candidate that answers nothing."""
        total = len(opened) * len(CONCURRENCIES) * len(PASSES) * _pictures(settings)
        finished = 0
        lost: set[str] = set()
        for part in parts(opened, settings):
            left = [one for one in opened if one.candidate.name not in lost]
            async for failure in _warm_up(part, left):
                lost.add(failure.candidate)
                yield failure
            for turn in turns(part, len(opened)):
                one = opened[turn.candidate]
                if one.candidate.name in lost:
                    continue
                rows: list[RequestRow] = []
                async with aclosing(_ask(part, turn, one)) as observed:
                    async for row in observed:
                        rows.append(row)
                        finished += 1
                        settings.progress(finished, total, f"{one.candidate.name} · {part.concurrency} at a time")
                        yield row
                if all(row.error is not None for row in rows):
                    lost.add(one.candidate.name)
                    yield _lost(one, f"{part.workload.name}, block {turn.block}, {turn.cache}", rows[0].error)


@dataclass(frozen=True, slots=True)
class Part:
    """One concurrency with pictures of its own. run_seed: of the requests. name: unique in the run."""

    name: str
    concurrency: int
    workload: Workload
    run_seed: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One candidate's go at one block. candidate: its place among the opened ones. items: indices of pictures."""

    block: int
    cache: Cache
    candidate: int
    items: range


def parts(opened: Sequence[Opened], settings: Settings) -> list[Part]:
    """No picture is in two parts. They are drawn by the run's seed; where a server is timed, by chance, since it may
    remember an earlier run."""
    luck = secrets.token_hex(8) if any(one.checkpoint is None for one in opened) else "none"
    count = _pictures(settings) + WARM_UP
    sources = list(latency_scenes(len(CONCURRENCIES) * count, derive_seed(settings.seed, f"latency/{luck}")))
    made = []
    for index, concurrency in enumerate(CONCURRENCIES):
        own = sources[index * count : (index + 1) * count]
        workload = describe_32(own, count=_pictures(settings), warm_up=WARM_UP)
        made.append(Part(f"{workload.name}/{concurrency}", concurrency, workload, settings.seed))
    return made


def turns(part: Part, candidates: int) -> list[Turn]:
    """Who asks what, in order."""
    pictures = len(part.workload.images)
    blocks = [range(start, min(start + BLOCK, pictures)) for start in range(0, pictures, BLOCK)]
    return [
        Turn(block, cache, candidate, items)
        for block, items in enumerate(blocks)
        for cache in PASSES
        for candidate in range(candidates)
    ]


def _pictures(settings: Settings) -> int:
    return PICTURES_QUICK if settings.quick else PICTURES


async def _warm_up(part: Part, opened: Sequence[Opened]) -> AsyncGenerator[FailureRow, None]:
    """Ask about other pictures at the same concurrency, so that code and memory are as they will be; then forget."""
    for one in opened:
        asks = [
            Ask(
                part.workload.request(image, _plan(one), id=f"{part.name}/warm-up/{index}", seed=part.run_seed),
                index,
                image.source_sha256,
            )
            for index, image in enumerate(part.workload.warmed_by)
        ]
        errors = []
        async with aclosing(send(one.engine, asks, Load(concurrency=part.concurrency))) as timings:
            async for timing in timings:
                errors.append(timing.error)
        await one.engine.clear_caches()
        if all(error is not None for error in errors):
            yield _lost(one, f"{part.workload.name}, warm-up", errors[0])


async def _ask(part: Part, turn: Turn, one: Opened) -> AsyncGenerator[RequestRow, None]:
    """One block's rows, as the requests end."""
    load = Load(concurrency=part.concurrency)
    asks = []
    for item in turn.items:
        image = part.workload.images[item]
        request = part.workload.request(image, _plan(one), id=f"{part.name}/{turn.cache}/{item}", seed=part.run_seed)
        asks.append(Ask(request, item, image.source_sha256))
    async with aclosing(send(one.engine, asks, load, timeout_s=TIMEOUT_S)) as timings:
        async for timing in timings:
            timing.error = timing.error or _untrue(timing.done, turn.cache)
            yield request_row(
                timing,
                asks[timing.index],
                candidate=one.candidate.name,
                workload=part.workload.name,
                load=load,
                cache=turn.cache,
                block=turn.block,
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
