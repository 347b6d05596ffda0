"""A trusted local https server and a data folder of its own for each test that pulls; a PostgreSQL server."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _beside(name: str) -> ModuleType:
    """A module of this folder that holds no tests."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    return _beside("data_server")


@pytest.fixture(scope="session")
def models_kit() -> ModuleType:
    """A Hugging Face Hub on this machine."""
    return _beside("model_server")


@pytest.fixture(scope="session")
def originals() -> ModuleType:
    """Makes checkpoints in their authors' layouts."""
    return _beside("original_checkpoints")


@pytest.fixture(scope="session")
def original_models() -> ModuleType:
    """What such checkpoints answer, computed plainly."""
    return _beside("original_models")


@pytest.fixture(scope="session")
def native_vllm() -> ModuleType:
    """A vLLM that loads such a checkpoint as it is."""
    return _beside("native_vllm")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of these tests' own."""
    module = _beside("postgres_server")
    try:
        with module.serve() as server:
            yield server
    except module.Absent as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory, kit: ModuleType) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate for the local https server")
    made: Path = kit.make_certificate(tmp_path_factory.mktemp("certificate"))
    return made


@pytest.fixture
def home(tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder; the local server's certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("FOURWAYS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("FOURWAYS_DATA_LOCK", "FOURWAYS_DATA_SOURCE", "FOURWAYS_DATA_CATALOGUE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def web(kit: ModuleType, certificate: Path) -> Iterator[Any]:
    with kit.serve(certificate) as served:
        yield served


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    from fourways.hub.data import fetch

    monkeypatch.setattr(fetch, "_pause", lambda tried: 0.01)


@pytest.fixture
def unprivileged() -> Callable[[], None]:
    """What makes a child process obey the modes of files, although the tests may run as root: the capability to ignore
    them is dropped (capabilities(7): CAP_DAC_OVERRIDE is 1, CAP_DAC_READ_SEARCH 2; prctl(2): PR_CAPBSET_DROP is 24)."""
    if os.geteuid() != 0:
        return lambda: None
    libc = ctypes.CDLL(None)

    def drop() -> None:
        for capability in (1, 2):
            if libc.prctl(24, capability, 0, 0, 0) != 0:
                raise OSError("the capability to ignore modes cannot be dropped")

    return drop
