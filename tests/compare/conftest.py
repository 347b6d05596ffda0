from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import psutil
import pytest

import fourways
from fourways import zoo
from fourways.benchmarks.registry import suite_of
from fourways.benchmarks.suite import Suite
from fourways.compare import write_suite
from fourways.compare.progress import Silent
from fourways.core.figure import Figure
from fourways.core.run_files import ROWS_FILE


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


class Telling(Silent):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def phase(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def telling() -> Telling:
    return Telling()


Same = Callable[[Sequence[Figure], Sequence[Figure]], None]


@pytest.fixture(scope="session")
def same_figures() -> Same:
    """Fails unless the figures are the same. Confidences may differ as floats do when other requests share a batch
    (1e-5); whatever rests on answers may not differ at all."""

    def check(one: Sequence[Figure], other: Sequence[Figure]) -> None:
        def plain(figure: Figure) -> Figure:
            return msgspec.structs.replace(figure, value=None, low=None, high=None)

        assert [plain(figure) for figure in one] == [plain(figure) for figure in other]
        for left, right in zip(one, other, strict=True):
            numbers = [(figure.value, figure.low, figure.high) for figure in (left, right)]
            if "confidence" in left.labels:
                assert numbers[0] == pytest.approx(numbers[1], abs=1e-5)
            else:
                assert numbers[0] == numbers[1], left

    return check


class Forked:
    """A command in a process of its own that was forked from one which has the imports behind it: they take longer than
    what is tested. From there on it is a process like any other: it has its own id, and signals, limits and Ctrl-C meet
    it as they meet `fourways` in a shell."""

    def __init__(self, words: list[str], said: Path, prepare: str) -> None:
        """prepare: statements that run in the process before the command."""
        given = {"words": ["fourways", *words], "said": str(said), "environment": dict(os.environ)}
        self._process = _WARM.Process(target=exec, args=(f"{_STARTS}\n{prepare}\n{_RUNS}", given))
        self._said = said
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Negative: the signal that ended it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> None:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"the command still runs after {timeout} s")

    def communicate(self, timeout: float | None = None) -> str:
        """What it said, standard error among it, once it has ended."""
        self.wait(timeout)
        return self._said.read_text()


_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(["fourways.cli.main", "fourways.compare.run", "fourways.engines.local"])
# A forked process has its parent's signals and files: Ctrl-C is heard again, and what is said goes to a file.
_STARTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.clear()
os.environ.update(environment)
sys.argv = words
said_to = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
os.dup2(said_to, 1)
os.dup2(said_to, 2)
"""
_RUNS = "from fourways.cli import main; main()"


@dataclass(frozen=True)
class Line:
    """A started command: its process, and what may be watched of it while it runs."""

    process: Forked
    folder: Path

    def rows(self) -> int:
        path = self.folder / ROWS_FILE
        return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0

    def reach(self, rows: int) -> None:
        """Returns when the run has that many rows, or has ended."""
        end = time.monotonic() + 240
        while self.process.poll() is None and self.rows() < rows:
            assert time.monotonic() < end
            time.sleep(0.005)

    def workers(self) -> list[psutil.Process]:
        """Processes that the run started, and theirs."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


class Begin(Protocol):
    def __call__(self, words: list[str], folder: Path, prepare: str = "") -> Line: ...


@pytest.fixture
def command_line(tmp_path: Path) -> Iterator[Begin]:
    """Starts `fourways compare` with these words, in a folder to watch. What is left at the end is stopped."""
    started: list[Forked] = []

    def begin(words: list[str], folder: Path, prepare: str = "") -> Line:
        started.append(Forked(["compare", *words], tmp_path / f"said {len(started)}", prepare))
        return Line(started[-1], folder)

    yield begin
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def own_processes() -> Callable[[str], list[psutil.Process]]:
    """The processes below this one whose command line holds a text."""

    def find(text: str) -> list[psutil.Process]:
        found = []
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # some end while they are looked at
                if text in " ".join(child.cmdline()):
                    found.append(child)
        return found

    return find
