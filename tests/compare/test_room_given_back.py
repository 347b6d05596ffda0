"""What a closed engine held is free for the next one, and on a CUDA device for other processes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from fourways.compare.opening import EnginePool, Failed, find_checkpoints
from fourways.core.candidate import Candidate
from fourways.engines import open_engine
from fourways.engines.local import LocalEngine


async def opened_and_closed(pool: EnginePool, candidate: Candidate) -> weakref.ref[torch.nn.Module]:
    (one,) = await pool.only([candidate])
    assert not isinstance(one, Failed) and isinstance(one.engine, LocalEngine)
    module = weakref.ref(one.engine.family.module)
    del one
    await pool.only(())
    return module


async def test_nobody_but_the_caller_holds_an_engine_from_the_moment_it_is_open(models: Mapping[str, Path]) -> None:
    candidate = Candidate("qwen", model=str(models["qwen"]), threads=1)
    engine = await open_engine(candidate, find_checkpoints([candidate])["qwen"])
    assert isinstance(engine, LocalEngine)
    module = weakref.ref(engine.family.module)
    engine._shut()  # `close` may give the loop a turn, in which it lets go of what it held
    del engine
    gc.collect()
    assert module() is None


async def test_a_closed_engine_leaves_no_model_behind(models: Mapping[str, Path]) -> None:
    candidate = Candidate("qwen", model=str(models["qwen"]), threads=1)
    module = await opened_and_closed(EnginePool(find_checkpoints([candidate]), {}), candidate)
    assert module() is None


async def test_what_a_cuda_device_keeps_for_this_process_is_given_back_once_the_engine_is_closed(
    models: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[bool] = []
    candidate = Candidate("qwen", model=str(models["qwen"]), threads=1)
    pool = EnginePool(find_checkpoints([candidate]), {})
    (one,) = await pool.only([candidate])
    assert not isinstance(one, Failed) and isinstance(one.engine, LocalEngine)
    module = weakref.ref(one.engine.family.module)
    pool._open["qwen"] = type(one)(Candidate("qwen", device="cuda"), one.checkpoint, one.engine)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: left.append(module() is not None))
    del one
    await pool.only(())
    assert left == [False]
