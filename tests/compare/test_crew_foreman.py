"""Who asks which chunk: hands are kept full, and a death costs nothing but what causes it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from fourways.axes.crew import GivenUp
from fourways.axes.sharing import Chunk
from fourways.compare.crew.foreman import DEATHS, HANDS, Foreman, Lost
from fourways.compare.crew.protocol import Answered
from fourways.compare.fingerprint import Fingerprint
from fourways.core.errors import EngineError, UserError
from fourways.core.rows import AnswerRow
from fourways.core.run import SourceState

PRINT = Fingerprint(SourceState("1"), {"torch": "2"}, "A", {"model.safetensors": "00"}, "local", "cpu", {}, {})


def row(sample: str) -> AnswerRow:
    return AnswerRow(
        "c", "b", sample, "g", "i", "", "?", ("a",), "a", "a", 1.0, "ok", "stop", None, 1, (), "", 7
    )  # fmt: skip


class Scripted:
    """A worker that dies, with all it holds, whenever it is asked one of `deadly`."""

    def __init__(self, deadly: frozenset[str] = frozenset(), own: Fingerprint = PRINT) -> None:
        self.deadly, self.own = deadly, own
        self.held: dict[asyncio.Future[None], Chunk] = {}
        self.most = self.deaths = 0
        self.asked: list[Chunk] = []

    @property
    def name(self) -> str:
        return "worker"

    async def ask(self, chunk: Chunk) -> Answered:
        self.asked.append(chunk)
        future = asyncio.get_running_loop().create_future()
        self.held[future] = chunk
        self.most = max(self.most, len(self.held))
        try:
            await asyncio.sleep(0.001)
            if self.deadly & set(chunk.samples) and not future.done():
                self.deaths += 1
                for other in self.held:
                    if not other.done():
                        other.set_exception(Lost("killed"))
            await asyncio.sleep(0.001)
            if future.done():
                future.result()
            return Answered(0, tuple(row(name) for name in chunk.samples), self.own)
        finally:
            del self.held[future]
            if future.done():
                future.exception()

    async def close(self) -> None: ...


def chunks(count: int, units: int = 4) -> list[Chunk]:
    return [
        Chunk("b", tuple((f"{number}.{unit}a", f"{number}.{unit}b") for unit in range(units)))
        for number in range(count)
    ]


async def collect(members: Sequence[Scripted], given: Sequence[Chunk]) -> tuple[Counter[str], list[GivenUp]]:
    rows: Counter[str] = Counter()
    lost: list[GivenUp] = []
    async with asyncio.timeout(20):
        async for item in Foreman(members, PRINT).answers(given):
            if isinstance(item, GivenUp):
                lost.append(item)
            else:
                rows.update(one.sample for one in item)
    return rows, lost


async def test_every_chunk_is_answered_once_and_hands_are_full() -> None:
    members = [Scripted(), Scripted()]
    given = chunks(20)
    rows, lost = await collect(members, given)
    assert rows == Counter(name for chunk in given for name in chunk.samples)
    assert not lost
    assert [member.most for member in members] == [HANDS, HANDS]


async def test_the_image_that_kills_is_given_up_alone_after_three_deaths() -> None:
    members = [Scripted(frozenset({"7.2a"})), Scripted(frozenset({"7.2a"}))]
    given = chunks(20)
    rows, lost = await collect(members, given)
    (only,) = lost
    assert only.chunk == Chunk("b", (("7.2a", "7.2b"),))
    assert "3 workers died with it" in only.reason and "killed" in only.reason
    assert sum(member.deaths for member in members) == DEATHS
    wanted = {name for chunk in given for name in chunk.samples} - {"7.2a", "7.2b"}
    assert rows == Counter(wanted)


async def test_several_deadly_images_cost_only_themselves() -> None:
    deadly = frozenset({"0.0a", "0.3b", "11.1a"})
    members = [Scripted(deadly)]
    given = chunks(12)
    rows, lost = await collect(members, given)
    assert {chunk.chunk.units[0] for chunk in lost} == {("0.0a", "0.0b"), ("0.3a", "0.3b"), ("11.1a", "11.1b")}
    assert sum(rows.values()) == len(rows) == 12 * 8 - 6


async def test_workers_that_never_answer_end_the_crew() -> None:
    given = chunks(20)
    deadly = frozenset(name for chunk in given for name in chunk.samples)
    members = [Scripted(deadly), Scripted(deadly)]
    with pytest.raises(EngineError, match="died one after the other and answered nothing"):
        await collect(members, given)
    assert sum(member.deaths for member in members) < 12


async def test_a_worker_with_other_weights_is_refused_by_name() -> None:
    other = msgspec.structs.replace(PRINT, weights={"model.safetensors": "01"})
    with pytest.raises(UserError, match=r"worker is not what the run was started with: weights\.model\.safetensors"):
        await collect([Scripted(), Scripted(own=other)], chunks(20))


async def test_stopping_early_leaves_nothing_running() -> None:
    members = [Scripted(), Scripted()]
    answers = Foreman(members, PRINT).answers(chunks(20))
    await anext(answers)
    await answers.aclose()
    assert not any(member.held for member in members)


async def test_nothing_to_ask_is_answered_at_once() -> None:
    assert await collect([Scripted()], []) == (Counter(), [])
