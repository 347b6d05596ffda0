"""All local candidates of a run compute on one number of threads, unless somebody gave them one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fourways.compare.opening import EnginePool, find_checkpoints
from fourways.core.candidate import Candidate
from fourways.engines.local import engine as local

NAMES = ("internvl", "qwen")


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each trial comes to another count: 1, 2, 3, …; the list holds those that were made."""
    made: list[int] = []

    def trial(family: object) -> tuple[int, str]:
        made.append(len(made) + 1)
        return made[-1], f"1: {len(made)} ms"

    monkeypatch.setattr(local, "choose_threads", trial)
    return made


@pytest.fixture
def candidates(models: Mapping[str, Path]) -> list[Candidate]:
    return [Candidate(name, model=str(models[name])) for name in NAMES]


async def records_of(pool: EnginePool, candidates: list[Candidate]) -> dict[str, dict[str, str]]:
    try:
        found = {one.name: await pool.record(one) for one in pool.in_turn(candidates)}
    finally:
        await pool.close()
    return {name: record.engine.settings for name, record in found.items() if record.engine is not None}


async def test_one_trial_decides_for_all(candidates: list[Candidate], trials: list[int]) -> None:
    pool = EnginePool(find_checkpoints(candidates), {})
    settings = await records_of(pool, candidates)
    assert [settings[name]["threads"] for name in NAMES] == ["1", "1"] and trials == [1]
    assert pool.choice is not None and pool.choice.count == 1 and pool.choice.trial == "1: 1 ms"
    others = [settings[name]["threads_measured"] for name in NAMES if name != pool.choice.measured_on]
    assert others == ["as for the whole run"]
    assert settings[pool.choice.measured_on]["threads_measured"] == "1: 1 ms"


async def test_the_largest_model_decides(
    candidates: list[Candidate], trials: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"internvl": 10, "qwen": 2000}
    monkeypatch.setattr("fourways.compare.opening.count_parameters", lambda found: sizes[found.folder.name])
    pool = EnginePool(find_checkpoints(candidates), {})
    await records_of(pool, candidates)
    assert pool.choice is not None and pool.choice.measured_on == "qwen"


async def test_threads_that_were_asked_for_stand_and_decide_for_nobody(
    models: Mapping[str, Path], candidates: list[Candidate], trials: list[int]
) -> None:
    own = Candidate("own", model=str(models["qwen"]), threads=7)
    settings = await records_of(pool := EnginePool(find_checkpoints([own, *candidates]), {}), [own, *candidates])
    assert (settings["own"]["threads"], settings["own"]["threads_measured"]) == ("7", "as asked")
    assert {settings[name]["threads"] for name in NAMES} == {"1"} and pool.choice is not None


async def test_what_a_run_chose_stays_for_those_who_join_it(candidates: list[Candidate], trials: list[int]) -> None:
    first, joining = candidates
    before = EnginePool(find_checkpoints([first]), {})
    await records_of(before, [first])
    pool = EnginePool(find_checkpoints(candidates), {}, choice=before.choice)
    settings = await records_of(pool, candidates)
    assert [settings[name]["threads"] for name in NAMES] == ["1", "1"] and trials == [1]
    assert settings[first.name]["threads_measured"] == "1: 1 ms", "the trial is not forgotten by going on"
    assert settings[joining.name]["threads_measured"] == "as for the whole run"
