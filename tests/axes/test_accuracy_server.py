"""Against a server by URL: exactly so many requests in flight, and no pause between them."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from fourways import zoo
from fourways.axes.accuracy import Accuracy
from fourways.axes.contract import CONCURRENCY, Opened, Settings
from fourways.benchmarks.registry import suite_of
from fourways.core.candidate import Candidate
from fourways.core.rows import AnswerRow
from fourways.engines import open_engine


@pytest.fixture(scope="module")
def web() -> ModuleType:
    """The scripted server of the engines' tests."""
    path = Path(__file__).parent.parent / "engines" / "scripted_server.py"
    spec = importlib.util.spec_from_file_location("scripted_server_for_axes", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return zoo.write_suite(tmp_path_factory.mktemp("suite"), images=60, seed=1)


@pytest.mark.parametrize("concurrency", [1, 6, CONCURRENCY, CONCURRENCY + 16])
async def test_exactly_as_many_requests_as_asked_for_are_in_flight_until_the_last_ones(
    web: ModuleType, suite: Mapping[str, Path], concurrency: int
) -> None:
    """The server answers one request, the oldest, whenever so many are there. Were there ever fewer, it would answer
    nobody."""
    total = 240
    seen: list[int] = []
    waiting: deque[asyncio.Event] = deque()
    asked = Settings(7, suite_of({"mmbench_en": suite["mmbench_en"]}), Path(), concurrency=concurrency)
    async with web.ScriptedServer() as server, asyncio.timeout(100):
        candidate = Candidate("c", url=f"{server.url}/v1")
        engine = await open_engine(candidate, None, concurrency=max(concurrency, CONCURRENCY))
        answer = web.words("A")

        async def held(request: object, out: asyncio.StreamWriter) -> None:
            turn = asyncio.Event()
            waiting.append(turn)
            seen.append(len(waiting))
            if len(waiting) >= concurrency or len(seen) == total:
                await asyncio.sleep(0.002)  # time for one too many to come
                for _ in range(1 if len(seen) < total else len(waiting)):
                    waiting.popleft().set()
            await turn.wait()
            await answer(request, out)

        server.replies = [held]
        try:
            rows = [row async for row in Accuracy().rows([Opened(candidate, None, engine)], asked, ())]
        finally:
            await engine.close()
    assert len(rows) == len(seen) == total
    assert all(isinstance(row, AnswerRow) and row.status != "failed" for row in rows)
    assert max(seen) == concurrency
    assert seen[concurrency - 1 :] == [concurrency] * (total - concurrency + 1)


async def test_no_more_than_the_window_and_what_is_read_ahead_is_held(suite: Mapping[str, Path]) -> None:
    """However many samples there are, few pictures are in memory at once."""
    from fourways.axes.window import READ_AHEAD, _read_ahead
    from fourways.benchmarks.draw import draw

    entry = suite_of({"mmbench_en": suite["mmbench_en"]})["mmbench_en"]
    read: list[str] = []

    def noted(name: str, image: bytes) -> bytes:
        read.append(name)
        return image

    samples = [
        replace(sample, image_key=sample.id, image=lambda s=sample: noted(s.id, s.image()))
        for sample in draw(entry.read(), None, 7)
    ]
    pictures = _read_ahead(samples)
    for _ in range(20):
        await anext(pictures)
    await asyncio.sleep(0.2)
    assert 20 <= len(read) <= 20 + 2 * READ_AHEAD
    await pictures.aclose()
