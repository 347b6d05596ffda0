"""Replicas, Ray, shards and concurrency on the command line, and `fourways merge`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import fourways as package
from fourways.cli import main
from fourways.compare import write_suite


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("GIT_CEILING_DIRECTORIES", str(Path(package.__file__).resolve().parent.parent))
        yield


class Fourways:
    """Runs commands in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._patch.setattr("sys.argv", ["fourways", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, said.out, said.err


@pytest.fixture
def fourways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fourways:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FOURWAYS_DEBUG", raising=False)
    write_suite(tmp_path / "mine", images=4)
    return Fourways(monkeypatch, capsys)


def test_a_dry_run_says_which_shard_would_be_asked_and_by_how_many(fourways: Fourways) -> None:
    code, out, _ = fourways("compare", "zoo:qwen", "--suite", "mine", "--shard", "2/3", "--replicas", "2", "--dry-run")
    assert code == 0
    assert "accuracy: shard 2 of 3, in whole images" in out
    assert "accuracy: qwen: 2 processes on the CPU" in out
    assert "latency" not in out and "tuning" not in out


def test_a_dry_run_says_how_many_requests_a_server_would_get(fourways: Fourways) -> None:
    arguments = ("s=http://127.0.0.1:9/v1", "--suite", "mine", "--axes", "accuracy", "--concurrency", "200")
    _, out, _ = fourways("compare", *arguments, "--dry-run")
    assert "accuracy: s: 200 requests in flight" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shard", "3"), "error: --shard '3' is not of the form INDEX/OF"),
        (("--shard", "1/2", "--axes", "accuracy,latency"), "and latency cannot be divided"),
        (("--replicas", "2", "--device", "cuda:1"), "names one card (cuda:1), and 2 replicas need 2"),
    ],
)
def test_what_cannot_be_divided_is_told_before_anything_starts(
    fourways: Fourways, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = fourways("compare", "zoo:qwen", "--suite", "mine", *arguments)
    assert code == 2 and said in err
    assert not (tmp_path / "runs").exists()


def test_shards_are_run_and_merged_from_the_command_line(fourways: Fourways, tmp_path: Path) -> None:
    suite = ("--suite", f"mme={tmp_path}/mine/mme/MME_Benchmark_release_version")
    for index in ("1", "2"):
        code, _, err = fourways("compare", "zoo:qwen", *suite, "--shard", f"{index}/2", "--out", f"shards/{index}")
        assert code == 0, err
    code, _, err = fourways("merge", "whole", "shards/2")
    assert code == 2 and "error: shard 1 of 2 is not here" in err
    code, out, err = fourways("merge", "whole", "shards/2", "shards/1")
    assert code == 0, err
    assert "qwen" in out and "run: whole" in out
    assert (tmp_path / "whole" / "report.html").is_file()
