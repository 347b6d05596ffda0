"""Drawn workloads over a real connection: a server sees the pictures, lengths and adapters that were described."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from fourways.core.candidate import Candidate
from fourways.core.conversation import Image
from fourways.core.load import Load
from fourways.core.request import Generate, Plan
from fourways.core.rows import RequestRow
from fourways.engines.openai import OpenAIEngine, open_openai_engine
from fourways.load import Workload, draw, read_workload, request_row, send
from fourways.load.mock import MockSettings, Running, running


@pytest.fixture(scope="module")
def mock() -> Iterator[Running]:
    settings = MockSettings(ttft_ms=1, gap_ms=0.05, adapters=("legal",), billing="qwen2.5-vl")
    with running(settings) as server:
        yield server


@asynccontextmanager
async def connected(server: Running) -> AsyncIterator[OpenAIEngine]:
    engine = await open_openai_engine(Candidate("c", url=server.url, served_model="mock"))
    try:
        yield engine
    finally:
        await engine.close()


async def rows_of(engine: OpenAIEngine, workload: Workload, count: int, load: Load) -> list[RequestRow]:
    asks = workload.asks(Plan("c"), engine=engine.info, items=range(count), run_seed=1, prefix=workload.name)
    async with aclosing(send(engine, asks, load)) as timings:
        return [
            request_row(
                t, asks[t.index], candidate="c", workload=workload.name, load=load, cache=workload.cache, block=0
            )
            async for t in timings
        ]


@pytest.mark.parametrize("name", ["describe-32", "chat-mixed", "documents", "video-clips"])
async def test_every_shipped_workload_is_answered_in_full(name: str, mock: Running) -> None:
    workload = draw(read_workload(name))
    async with connected(mock) as engine:
        rows = await rows_of(engine, workload, 8, Load(concurrency=4))
        asks = workload.asks(Plan("c"), engine=engine.info, items=range(8), run_seed=1, prefix="again")
    assert [row.error for row in rows] == [None] * 8
    wanted = {ask.item: ask.request.output for ask in asks}
    for row in rows:
        output = wanted[row.item]
        assert isinstance(output, Generate) and row.output_tokens == output.max_tokens
        assert "media_decode" not in row.stages_ms, "a server decodes for itself"


async def test_a_server_bills_the_visual_tokens_of_the_sizes_that_were_described(mock: Running, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("images: {count: [{value: 1}, {value: 3}], size: [{size: 640x480}, {size: 333x777}]}\n")
    workload = draw(read_workload(str(file)))
    async with connected(mock) as engine:
        asks = workload.asks(Plan("c"), engine=engine.info, items=range(8), run_seed=1, prefix="x")
        rows = {row.item: row for row in await rows_of(engine, workload, 8, Load(concurrency=2))}
    for ask in asks:
        sizes = [(v.width, v.height) for v in ask.request.conversation.visuals if isinstance(v, Image)]
        billed = rows[ask.item].visual_tokens
        assert billed == sum({(640, 480): 23 * 17, (333, 777): 12 * 28}[size] for size in sizes)


async def test_an_adapters_share_goes_to_its_served_name_and_a_trace_comes_in_its_time(
    mock: Running, tmp_path: Path
) -> None:
    (tmp_path / "t.jsonl").write_text("".join(f'{{"at_s": {100 + 0.02 * n}}}\n' for n in range(16)))
    file = tmp_path / "w.yaml"
    file.write_text(
        "trace: t.jsonl\nimages: {size: 32x32}\nanswer: {tokens: 4}\n"
        "adapters: [{adapter: legal}, {adapter: null, weight: 3}]\n"
    )
    workload = draw(read_workload(str(file)))
    assert workload.replay is not None
    async with connected(mock) as engine:
        rows = sorted(await rows_of(engine, workload, 16, workload.replay), key=lambda row: row.item)
    assert [row.error for row in rows] == [None] * 16
    assert sum(row.adapter == "legal" for row in rows) == 4
    assert [row.scheduled_ms for row in rows] == pytest.approx([20 * n for n in range(16)], abs=0.01)
