"""Commands run in this process, as a person would run them in an empty folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

import fourways as package
from fourways.cli import main


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Digests go to a cache of the tests' own, and the source is seen by its version, so that work going on in the
    checkout does not part the shards of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("GIT_CEILING_DIRECTORIES", str(Path(package.__file__).resolve().parent.parent))
        yield


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *arguments: str) -> Said: ...


@pytest.fixture
def fourways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FOURWAYS_DEBUG", raising=False)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["fourways", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, out, err)

    return run
