from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import fourways
from fourways import zoo
from fourways.benchmarks.registry import suite_of
from fourways.benchmarks.suite import Suite
from fourways.compare import write_suite


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Digests go to a cache of the tests' own, and the source is seen by its version, so that work going on in the
    checkout does not change a run's header between its start and its resume."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("GIT_CEILING_DIRECTORIES", str(Path(fourways.__file__).resolve().parent.parent))
        yield


@pytest.fixture(scope="session")
def suite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded suite, smaller."""
    folder = tmp_path_factory.mktemp("suite") / "small"
    write_suite(folder, images=24, seed=3)
    return folder


@pytest.fixture
def suite(suite_folder: Path) -> Suite:
    """Two benchmarks of it: 48 and 48 questions."""
    return suite_of({"mme": suite_folder / "mme" / "MME_Benchmark_release_version", "vqav2": suite_folder / "vqav2"})


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Copies of the embedded checkpoints."""
    folder = tmp_path_factory.mktemp("models")
    return {name: shutil.copytree(zoo.checkpoint(name), folder / name) for name in zoo.NAMES}
