"""Who asks which chunk: keeps every worker's hands full, and loses no chunk with a worker that dies.

Contract: a chunk's answer counts only whole, so a chunk is either answered once or asked again. A worker that dies
takes all chunks in its hands with it, and which of them killed it is unknown; each is then asked alone. What dies
alone is asked image by image, so that the third death condemns only the image that causes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fourways.axes.crew import GivenUp
from fourways.axes.sharing import Chunk
from fourways.compare.crew.protocol import Answered, Complaint, Described, Reply
from fourways.compare.fingerprint import Fingerprint, unlike
from fourways.core.errors import EngineError, UserError
from fourways.core.rows import AnswerRow
from fourways.core.run import CandidateRecord

HANDS = 3
"""Chunks that a worker has at once: while one ends, the others keep its engine's batch full."""
DEATHS = 3
"""Deaths of workers after which what was in their hands is given up."""
IN_VAIN = 8
"""Deaths in a row, with nothing answered between them, after which the crew gives up altogether."""


class Lost(Exception):
    """A worker died with what it had in its hands. Its text is all that is known of why."""


class Member(Protocol):
    """A worker as the foreman sees it, wherever it runs."""

    @property
    def name(self) -> str: ...

    async def ask(self, chunk: Chunk) -> Answered:
        """Starts the worker if it is not there. Raises Lost if it dies, FourwaysError if it cannot work at all."""

    async def describe(self) -> CandidateRecord:
        """The candidate as this worker opened it, or why it could not. Raises as `ask` does."""

    async def close(self) -> None:
        """Ends the worker at once."""


def answered(name: str, reply: Reply) -> Answered:
    """The reply of a worker that was asked a chunk. Raises EngineError for any other."""
    if isinstance(reply, Answered):
        return reply
    raise _complaint(name, reply)


def described(name: str, reply: Reply) -> CandidateRecord:
    """The reply of a worker that was asked what it is. Raises EngineError for any other."""
    if isinstance(reply, Described):
        return reply.record
    raise _complaint(name, reply)


def _complaint(name: str, reply: Reply) -> EngineError:
    if isinstance(reply, Complaint):
        return EngineError(f"{name}: {reply.message}", hint=reply.hint)
    return EngineError(f"{name} answered what it was not asked")


@dataclass(frozen=True, slots=True)
class _Try:
    """A chunk, and how many workers have died of it so far, or beside it."""

    chunk: Chunk
    deaths: int = 0


class Foreman:
    """A crew (axes/crew.py) of members that must all have the fingerprint `expected`.

    deaths: of its workers so far. last_death: who died last, and all that is known of why.
    """

    def __init__(self, members: Sequence[Member], expected: Fingerprint) -> None:
        self._members, self._expected = members, expected
        self._left: deque[_Try] = deque()
        self._open = 0
        self._in_vain = 0
        self.deaths, self.last_death = 0, ""

    @property
    def hands(self) -> int:
        return HANDS * len(self._members)

    async def answers(self, chunks: Sequence[Chunk]) -> AsyncGenerator[tuple[AnswerRow, ...] | GivenUp, None]:
        """As `Crew.answers`."""
        self._left, self._open, self._in_vain = deque(_Try(chunk) for chunk in chunks), len(chunks), 0
        settled: asyncio.Queue[tuple[AnswerRow, ...] | GivenUp | asyncio.Task[None]] = asyncio.Queue()
        changed = asyncio.Condition()
        drivers = [asyncio.create_task(self._drive(member, settled, changed)) for member in self._members]
        for driver in drivers:
            driver.add_done_callback(settled.put_nowait)
        running = len(drivers)
        try:
            while running:
                item = await settled.get()
                if isinstance(item, asyncio.Task):
                    item.result()
                    running -= 1
                else:
                    yield item
        finally:
            for driver in drivers:
                driver.cancel()
            await asyncio.gather(*drivers, return_exceptions=True)

    async def _drive(
        self,
        member: Member,
        settled: asyncio.Queue[tuple[AnswerRow, ...] | GivenUp | asyncio.Task[None]],
        changed: asyncio.Condition,
    ) -> None:
        """Keeps one member busy until every chunk of the crew is settled."""
        held: dict[asyncio.Task[Answered], _Try] = {}
        try:
            while self._open:
                self._fill(member, held)
                if not held:
                    async with changed:
                        await changed.wait_for(lambda: self._left or not self._open)
                    continue
                ended, _ = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
                if any(isinstance(task.exception(), Lost) for task in ended):
                    ended, _ = await asyncio.wait(held)  # the others in its hands are lost as well
                    self._count_death(member, ended)
                for task in ended:
                    if (item := self._settle(member, held.pop(task), task)) is not None:
                        settled.put_nowait(item)
                async with changed:
                    changed.notify_all()
        finally:
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)

    def _fill(self, member: Member, held: dict[asyncio.Task[Answered], _Try]) -> None:
        while self._left and len(held) < HANDS:
            alone = self._left[0].deaths > 0
            if held and (alone or any(one.deaths for one in held.values())):
                return
            tried = self._left.popleft()
            held[asyncio.create_task(member.ask(tried.chunk))] = tried

    def _settle(
        self, member: Member, tried: _Try, task: asyncio.Task[Answered]
    ) -> tuple[AnswerRow, ...] | GivenUp | None:
        """What a chunk came to; None if it is asked again."""
        try:
            answered = task.result()
        except Lost as lost:
            return self._again(tried, f"{member.name} {lost}")
        if differences := unlike(self._expected, answered.fingerprint):
            raise UserError(
                f"{member.name} is not what the run was started with: {'; '.join(differences[:8])}",
                hint="answers of two versions are not mixed; give every worker the same code, weights and data",
            )
        self._in_vain = 0
        self._open -= 1
        return answered.rows

    def _again(self, tried: _Try, reason: str) -> GivenUp | None:
        chunk, deaths = tried.chunk, tried.deaths + 1
        if deaths >= DEATHS:
            self._open -= 1
            return GivenUp(chunk, f"{deaths} workers died with it; of the last: {reason}")
        parts = [chunk] if deaths == 1 else [Chunk(chunk.benchmark, (unit,)) for unit in chunk.units]
        self._left.extend(_Try(part, deaths) for part in parts)
        self._open += len(parts) - 1
        return None

    def _count_death(self, member: Member, ended: Iterable[asyncio.Task[Answered]]) -> None:
        reason = next(task.exception() for task in ended if isinstance(task.exception(), Lost))
        self.deaths, self.last_death = self.deaths + 1, f"{member.name} {reason}"
        self._in_vain += 1
        if self._in_vain >= IN_VAIN:
            raise EngineError(
                f"{IN_VAIN} workers died one after the other and answered nothing; of the last: {self.last_death}",
                hint="is there room for so many? try fewer --replicas",
            )
