"""Random checkpoints of the embedded architectures, and a family of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fourways.core.candidate import Checkpoint
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.hub import look
from fourways.zoo import folder as zoo_folder

MakeFamily = Callable[[str], tuple[Family, Checkpoint]]


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("checkpoints") / name
            with torch.random.fork_rng():
                torch.manual_seed(0)
                zoo_folder.save(zoo_folder.new_model(name), name, made[name])  # type: ignore[arg-type]
        return made[name]

    return make


@pytest.fixture(scope="session")
def family_of(checkpoint_folder: Callable[[str], Path]) -> MakeFamily:
    """A family freshly loaded from a random checkpoint, and the checkpoint."""

    def make(name: str) -> tuple[Family, Checkpoint]:
        checkpoint = look(checkpoint_folder(name))
        return find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu"), checkpoint

    return make


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
