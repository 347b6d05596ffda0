"""The latency axis interleaves candidates, shows no picture twice, and says "cold" and "warm" only where it is so."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby

import msgspec
import pytest

from fourways.axes import latency
from fourways.axes.contract import Opened, Settings
from fourways.axes.latency import CONCURRENCIES, Latency, Part, parts, turns
from fourways.axes.observing import Block, Tell
from fourways.core.candidate import Candidate
from fourways.core.conversation import Image
from fourways.core.engine import EngineInfo
from fourways.core.errors import EngineError
from fourways.core.request import Plan
from fourways.core.rows import CeilingRow, ClientRow, EnergyRow, FailureRow, RequestRow, Row, WorkRow
from fourways.engines import LocalEngine, open_engine
from fourways.load import Ask
from fourways.load.mock import MockSettings, running
from fourways.trace import ceilings

Open = Callable[..., Awaitable[Opened]]


async def collect(opened: list[Opened], settings: Settings) -> list[Row]:
    """All rows but the one that says why this machine counts no joules (test_energy_observer.py)."""
    rows = [row async for row in Latency().rows(opened, settings, [])]
    return [row for row in rows if not (isinstance(row, FailureRow) and row.where == "energy")]


def failures(rows: Sequence[Row]) -> list[FailureRow]:
    """What broke; what this machine has no counter for is no failure."""
    return [row for row in rows if isinstance(row, FailureRow) and row.status == "failed"]


def measured(part: Part) -> list[str]:
    return shown_by(part.workload.asks, part.items)


def warming(part: Part) -> list[str]:
    return shown_by(part.workload.warm_up, part.warming)


def shown_by(asks: Callable[..., list[Ask]], items: range) -> list[str]:
    return [
        picture.content_hash
        for ask in asks(Plan("c"), engine=EngineInfo("local", "generic", None, frozenset(), {}), items=items,
                        run_seed=0, prefix="p")
        for picture in pictures(ask)
    ]  # fmt: skip


def pictures(ask: Ask) -> list[Image]:
    return [visual for visual in ask.request.conversation.visuals if isinstance(visual, Image)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pictures, and limits that are looked for in an instant."""
    monkeypatch.setattr(ceilings, "_SECONDS", 0.002)
    monkeypatch.setattr(ceilings, "_LARGE", {"cpu": 1 << 20})
    monkeypatch.setattr(ceilings, "_SIDES", {"cpu": (64,)})
    monkeypatch.setattr(latency, "PICTURES_QUICK", 4)
    monkeypatch.setattr(latency, "BLOCK", 2)
    monkeypatch.setattr(latency, "WARM_UP", 2)


@pytest.mark.usefixtures("small")
async def test_candidates_take_turns_and_every_request_is_a_row(open_random: Open, quick_settings: Settings) -> None:
    opened = [await open_random("a", "qwen"), await open_random("b", "internvl")]
    rows = await collect(opened, quick_settings)
    found = [row for row in rows if isinstance(row, RequestRow)]
    assert all(row.error is None for row in found)
    assert not failures(rows)
    assert len(found) == 2 * len(CONCURRENCIES) * 2 * 4
    order = [key for key, _ in groupby(found, key=lambda r: (r.concurrency, r.block, r.cache, r.candidate))]
    assert order == [
        (c, block, cache, name)
        for c in CONCURRENCIES
        for block in (0, 1)
        for cache in ("cold", "warm")
        for name in "ab"
    ]
    for row in found:
        assert row.output_tokens == 32
        assert row.ttft_ms is not None
        assert row.e2e_ms is not None
        assert row.tpot_ms == pytest.approx((row.e2e_ms - row.ttft_ms) / 31)
    asked = {name: [(r.concurrency, r.item, r.image) for r in found if r.candidate == name] for name in "ab"}
    assert sorted(asked["a"]) == sorted(asked["b"]), "both are asked about the same pictures"
    cold = [r.image for r in found if r.candidate == "a" and r.cache == "cold"]
    assert len(set(cold)) == len(cold), "no picture is cold twice"


@pytest.mark.usefixtures("small")
async def test_cold_is_computed_and_warm_is_kept_by_the_engines_own_count(
    open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "CONCURRENCIES", (8,))
    one = await open_random("a", "qwen")
    assert isinstance(one.engine, LocalEngine)
    seen: list[tuple[str, int, int]] = []
    async for row in Latency().rows([one], quick_settings, []):
        if not isinstance(row, RequestRow):
            continue
        counters = one.engine.counters()
        seen.append((row.cache, counters["encoded_units"], counters["feature_hits"] + counters["prefix_hits"]))
    last = {cache: [s for s in seen if s[0] == cache][-1] for cache in ("cold", "warm")}
    encoded_in_all = last["warm"][1]
    assert encoded_in_all == 2 + 4, "the warm-up's pictures and the cold ones are encoded once each, warm ones never"
    assert last["warm"][2] == 4, "each warm picture is found"


@pytest.mark.usefixtures("small")
async def test_an_engine_that_keeps_nothing_gives_no_warm_number(open_random: Open, quick_settings: Settings) -> None:
    one = await open_random("a", "qwen")
    assert isinstance(one.engine, LocalEngine)
    forgetful = LocalEngine(one.engine.family, threads=1, feature_cache_bytes=0, prefix_cache_bytes=0)
    try:
        rows = await collect([replace(one, engine=forgetful)], quick_settings)
    finally:
        await forgetful.close()
    found = [row for row in rows if isinstance(row, RequestRow)]
    assert all(row.error is None for row in found if row.cache == "cold")
    warm = [row for row in found if row.cache == "warm"]
    assert warm
    assert all(row.error is not None and row.error.startswith("not warm") and row.ttft_ms is None for row in warm)


@pytest.mark.usefixtures("small")
async def test_a_candidate_that_answers_nothing_is_lost_and_the_others_finish(
    open_random: Open, quick_settings: Settings
) -> None:
    broken, whole = await open_random("broken", "qwen"), await open_random("whole", "llava")
    await broken.engine.close()
    rows = await collect([broken, whole], quick_settings)
    (failure,) = failures(rows)
    assert (failure.candidate, failure.scope) == ("broken", "axis")
    assert "the engine is closed" in failure.message
    found = [row for row in rows if isinstance(row, RequestRow)]
    assert {row.candidate for row in found} == {"whole"}
    assert len(found) == len(CONCURRENCIES) * 2 * 4


async def test_the_full_run_asks_about_eighty_distinct_pictures_at_each_load(
    open_random: Open, quick_settings: Settings
) -> None:
    one = await open_random("a")
    made = parts([one], replace(quick_settings, quick=False))
    shown = [image for part in made for image in (*measured(part), *warming(part))]
    assert len(set(shown)) == len(shown)
    assert [len(measured(part)) for part in made] == [80, 80]
    assert [len(warming(part)) for part in made] == [latency.WARM_UP] * 2
    plan = turns(made[1], 3)
    assert [turn.candidate for turn in plan] == [0, 1, 2] * (len(plan) // 3)
    for cache in ("cold", "warm"):
        items = [i for turn in plan if turn.cache == cache and turn.candidate == 2 for i in turn.items]
        assert items == list(made[1].items)
    assert len({turn.block for turn in plan}) >= 3


async def test_every_block_holds_each_size_equally_often(open_random: Open, quick_settings: Settings) -> None:
    one = await open_random("a")
    for part in parts([one], quick_settings):
        for turn in turns(part, 1):
            asks = part.workload.asks(
                Plan("a"), engine=one.engine.info, items=turn.items, run_seed=0, prefix=str(turn.block)
            )
            sizes = Counter((v.width, v.height) for ask in asks for v in pictures(ask))
            assert sizes == {(56, 56): 4, (112, 56): 4, (56, 112): 4, (112, 112): 4}


async def test_pictures_are_the_runs_own_by_seed_and_new_each_time_for_a_server(
    open_random: Open, quick_settings: Settings
) -> None:
    def shown(opened: list[Opened], settings: Settings) -> list[str]:
        return [image for part in parts(opened, settings) for image in measured(part)]

    local = await open_random("a")
    server = Opened(Candidate("s", url="http://localhost:1"), None, local.engine)
    assert shown([local], quick_settings) == shown([local], quick_settings)
    assert shown([local], quick_settings) != shown([local], replace(quick_settings, seed=8))
    assert not set(shown([local, server], quick_settings)) & set(shown([local, server], quick_settings))


async def test_a_local_candidate_decodes_on_the_timed_path_as_a_server_does(
    open_random: Open, quick_settings: Settings
) -> None:
    """A server gets the file and decodes it; so a local engine's pictures are decoded when the request is due."""
    one = await open_random("a")
    part = parts([one], quick_settings)[0]
    local = part.workload.asks(Plan("a"), engine=one.engine.info, items=[0], run_seed=0, prefix="l")
    server = msgspec.structs.replace(one.engine.info, engine="openai")
    remote = part.workload.asks(Plan("a"), engine=server, items=[0], run_seed=0, prefix="r")
    assert local[0].read is not None and remote[0].read is None
    assert local[0].image == remote[0].image


@pytest.mark.usefixtures("small")
async def test_a_local_requests_first_token_contains_the_decoding(open_random: Open, quick_settings: Settings) -> None:
    rows = await collect([await open_random("a")], quick_settings)
    found = [row for row in rows if isinstance(row, RequestRow)]
    assert all(0 < row.stages_ms["media_decode"] < (row.ttft_ms or 0) for row in found)


@pytest.mark.usefixtures("small")
async def test_observers_are_told_of_each_block_and_add_their_rows(
    open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def watch(block: Block) -> AsyncIterator[Tell]:
        yield lambda rows: [
            EnergyRow(
                block.one.candidate.name, block.workload, block.load, block.cache, block.number,
                joules=1.0, seconds=1.0, answers=sum(row.error is None for row in rows), method="a test",
            )
        ]  # fmt: skip

    monkeypatch.setattr(latency, "OBSERVERS", (watch,))
    rows = await collect([await open_random("a")], quick_settings)
    seen = [(row.load.concurrency, row.block, row.cache, row.answers) for row in rows if isinstance(row, EnergyRow)]
    assert seen == [(c, block, cache, 2) for c in CONCURRENCIES for block in (0, 1) for cache in ("cold", "warm")]
    timed = [row for row in rows if isinstance(row, RequestRow | EnergyRow)]
    last = [isinstance(row, EnergyRow) for row in timed]
    assert last == [False, False, True] * (len(timed) // 3), "a block's observations follow its requests"


@pytest.mark.usefixtures("small")
async def test_the_clients_health_stands_beside_every_block_and_the_limits_follow(
    open_random: Open, quick_settings: Settings
) -> None:
    rows = await collect([await open_random("a")], quick_settings)
    healths = [row for row in rows if isinstance(row, ClientRow)]
    assert [(row.load.concurrency, row.block, row.cache) for row in healths] == [
        (c, block, cache) for c in CONCURRENCIES for block in (0, 1) for cache in ("cold", "warm")
    ]
    assert all(row.shares_process and row.wall_ms > 0 for row in healths)
    last_request = max(n for n, row in enumerate(rows) if isinstance(row, RequestRow))
    limits = [n for n, row in enumerate(rows) if isinstance(row, WorkRow | CeilingRow)]
    assert limits and min(limits) > last_request, "nothing untimed runs between the blocks"
    first = {row.item for row in rows if isinstance(row, RequestRow) and row.concurrency == 1 and row.block == 0}
    assert {row.item for row in rows if isinstance(row, WorkRow)} == first


@pytest.mark.usefixtures("small")
async def test_times_stand_where_the_limits_cannot_be_found(
    open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(one: Opened, workload: str, asks: Sequence[Ask]) -> AsyncGenerator[WorkRow, None]:
        raise EngineError("no room")
        yield

    monkeypatch.setattr(latency, "roofline", broken)
    rows = await collect([await open_random("a")], quick_settings)
    (failure,) = failures(rows)
    assert (failure.scope, failure.where, failure.message) == ("sample", "physical limits", "no room")
    assert sum(isinstance(row, RequestRow) for row in rows) == len(CONCURRENCIES) * 2 * 4


@pytest.mark.usefixtures("small")
async def test_a_server_takes_turns_with_a_local_candidate_on_the_same_pictures(
    open_random: Open, quick_settings: Settings
) -> None:
    local = await open_random("local")
    with running(MockSettings(ttft_ms=2, gap_ms=0.1)) as mock:
        candidate = Candidate("server", url=mock.url)
        server = Opened(candidate, None, await open_engine(candidate, None))
        rows = await collect([local, server], quick_settings)
        await server.engine.close()
    assert not failures(rows)
    found = [row for row in rows if isinstance(row, RequestRow)]
    shown = {name: [(r.item, r.image, r.cache) for r in found if r.candidate == name] for name in ("local", "server")}
    assert sorted(shown["local"]) == sorted(shown["server"])
    assert all(("media_decode" in row.stages_ms) == (row.candidate == "local") for row in found)
    shares = {row.candidate: row.shares_process for row in rows if isinstance(row, ClientRow)}
    assert shares == {"local": True, "server": False}
    assert {row.candidate for row in rows if isinstance(row, WorkRow | CeilingRow)} == {"local"}
