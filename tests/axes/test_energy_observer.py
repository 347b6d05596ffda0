"""The energy of a block is written down beside its requests, or, once, why nobody can say it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fourways.axes.contract import Opened
from fourways.axes.observing import Block, energy
from fourways.core.candidate import Candidate
from fourways.core.load import Load
from fourways.core.rows import EnergyRow, FailureRow, RequestRow, Row
from fourways.trace import energy as counters

Open = Callable[..., Awaitable[Opened]]
LOAD = Load("closed", 8)


def asked(item: int, error: str | None = None) -> RequestRow:
    return RequestRow(
        "a", "describe-32", 8, "warm", 2, item, "", 0.0, 0.0, 1.0, 2.0, 0.1, (), 10, 5, 32, {}, error=error
    )  # fmt: skip


async def watched(one: Opened, number: int, during: Callable[[], object], rows: list[RequestRow]) -> list[Row]:
    async with energy(Block(one, "describe-32", LOAD, "warm", number)) as tell:
        during()
    return list(tell(rows))


async def test_a_blocks_joules_and_answers_are_written_without_those_that_failed(
    open_random: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, text in (("name", "package-0"), ("energy_uj", "1000000"), ("max_energy_range_uj", "262143328850")):
        (zone / name).write_text(text)
    monkeypatch.setattr(counters, "POWERCAP", tmp_path)
    rows = [asked(0), asked(1), asked(2, "it hurts")]
    (row,) = await watched(await open_random("a"), 2, lambda: (zone / "energy_uj").write_text("4500000"), rows)
    assert isinstance(row, EnergyRow)
    assert (row.joules, row.answers, row.method) == (3.5, 2, "RAPL package-0")
    assert (row.candidate, row.workload, row.load, row.cache, row.block) == ("a", "describe-32", LOAD, "warm", 2)
    assert row.seconds > 0 and row.least_s == 0.1


async def test_without_a_counter_the_reason_is_said_once_for_each_engine(
    open_random: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "POWERCAP", tmp_path)
    one, other = await open_random("a"), await open_random("b")
    said = [row for engine in (one, one, other) for row in await watched(engine, 0, lambda: None, [asked(0)])]
    assert [(row.candidate, row.where, row.status) for row in said if isinstance(row, FailureRow)] == [
        ("a", "energy", "undefined"),
        ("b", "energy", "undefined"),
    ]
    assert len(said) == 2
    assert isinstance(said[0], FailureRow) and said[0].message.startswith("no counter on this machine: no RAPL")


async def test_a_servers_energy_is_its_own(open_random: Open) -> None:
    one = replace(await open_random("a"), candidate=Candidate("v", url="http://localhost:1"), checkpoint=None)
    (row,) = await watched(one, 0, lambda: None, [asked(0)])
    assert isinstance(row, FailureRow)
    assert (row.candidate, row.message) == ("v", "no access: a server's device is its own")
