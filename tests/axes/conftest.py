"""Candidates opened on random checkpoints of the embedded architectures: the real path, without its training."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import torch

from fourways.axes.contract import Opened, Settings
from fourways.core.candidate import Candidate, Checkpoint
from fourways.engines import open_engine
from fourways.hub import look
from fourways.zoo import folder as zoo_folder

Open = Callable[..., Awaitable[Opened]]


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    """A whole checkpoint folder of an embedded architecture ("qwen", "llava", "internvl"), weights as initialised."""
    made: dict[str, Checkpoint] = {}

    def make(name: str) -> Checkpoint:
        if name not in made:
            folder = tmp_path_factory.mktemp("checkpoints") / name
            with torch.random.fork_rng():
                torch.manual_seed(0)
                zoo_folder.save(zoo_folder.new_model(name), name, folder)  # type: ignore[arg-type]
            made[name] = look(folder)
        return made[name]

    return make


@pytest.fixture
async def open_random(random_checkpoint: Callable[[str], Checkpoint]) -> AsyncIterator[Open]:
    """Opens a candidate on a random checkpoint; the engines are closed after the test."""
    opened: list[Opened] = []

    async def make(name: str, architecture: str = "qwen", **settings: object) -> Opened:
        checkpoint = random_checkpoint(architecture)
        candidate = Candidate(name, model=f"zoo:{architecture}", threads=1, **settings)  # type: ignore[arg-type]
        opened.append(Opened(candidate, checkpoint, await open_engine(candidate, checkpoint)))
        return opened[-1]

    yield make
    for one in opened:
        await one.engine.close()


@pytest.fixture
def quick_settings(tmp_path: Path) -> Settings:
    return Settings(seed=7, suite={}, workdir=tmp_path, quick=True)
