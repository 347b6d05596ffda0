"""Digests are of the bytes that are there now, are kept the moment they are known, and cost one reading."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fourways.core import digests
from fourways.core.digests import hash_file
from fourways.core.errors import FourwaysError
from fourways.hub import cache, hashing
from fourways.hub.cache import DigestCache
from fourways.hub.hashing import hash_files


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, which takes files of any age."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FOURWAYS_CACHE", str(place))
    monkeypatch.setattr(cache, "_SETTLED_NS", -1)
    return place / "sha256.jsonl"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read to their end."""
    names: list[str] = []

    def counted(path: Path, at: Callable[[int], None] | None = None) -> str:
        digest = hash_file(path, at)
        names.append(path.name)
        return digest

    monkeypatch.setattr(cache, "hash_file", counted)
    return names


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_in(folder: Path, count: int, size: int = 1000) -> list[Path]:
    files = [folder / f"{index}.bin" for index in range(count)]
    for index, file in enumerate(files):
        file.write_bytes(bytes([index % 256]) * (size + index))
    return files


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(content=st.binary(max_size=3000), buffer=st.sampled_from([1, 7, 64, 1 << 18]))
def test_a_digest_is_that_of_the_bytes_whatever_the_buffer(
    content: bytes, buffer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_BUFFER", buffer)
    (tmp_path / "file").write_bytes(content)
    told: list[int] = []
    assert hash_file(tmp_path / "file", told.append) == sha256(content)
    assert sum(told) == len(content)


def test_a_file_of_several_buffers_and_a_rest(tmp_path: Path) -> None:
    content = os.urandom((1 << 18) * 3 + 17)
    (tmp_path / "file").write_bytes(content)
    assert hash_file(tmp_path / "file") == sha256(content)


@pytest.mark.parametrize("change", ["appended", "rewritten", "replaced", "shortened"])
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, change: str) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(bytes(1 << 19))
    os.utime(file, ns=(10**18, 10**18))

    def meddle(count: int) -> None:
        match change:
            case "appended":
                with file.open("ab") as stream:
                    stream.write(b"x")
            case "rewritten":
                file.write_bytes(b"y" * (1 << 19))
            case "replaced":
                (tmp_path / "other").write_bytes(bytes(1 << 19))
                os.utime(tmp_path / "other", ns=(10**18, 10**18))
                (tmp_path / "other").replace(file)
            case "shortened":
                os.truncate(file, 1 << 18)

    with pytest.raises(FourwaysError, match=r"weights\.safetensors changed while") as caught:
        hash_file(file, meddle)
    assert caught.value.hint


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, read: list[str]) -> None:
    files = files_in(tmp_path, 5)
    first = hash_files(files)
    assert list(first) == files
    assert first == {file: sha256(file.read_bytes()) for file in files}
    assert sorted(read) == [file.name for file in files]
    assert hash_files(files) == first
    assert len(read) == 5
    files[2].write_bytes(b"another")
    assert hash_files(files)[files[2]] == sha256(b"another")
    assert read[5:] == ["2.bin"]


def test_a_modification_time_that_was_set_back_does_not_hide_a_change(tmp_path: Path) -> None:
    (file,) = files_in(tmp_path, 1)
    before = file.stat()
    hash_files([file])
    file.write_bytes(b"\x01" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_mtime_ns, file.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert hash_files([file])[file] == sha256(file.read_bytes())


def test_no_digest_is_kept_of_a_file_that_may_change_again_within_the_tick(
    tmp_path: Path, _own_cache: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SETTLED_NS", 10**12)
    files = files_in(tmp_path, 1)
    hash_files(files)
    hash_files(files)
    assert len(read) == 2
    assert not _own_cache.exists()


def test_a_link_and_the_file_behind_it_are_one(tmp_path: Path, read: list[str]) -> None:
    (file,) = files_in(tmp_path, 1)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert hash_files([file])[file] == hash_files([link])[link]
    assert len(read) == 1


def test_the_largest_file_is_begun_first_and_as_many_at_once_as_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_in(tmp_path, 6)
    begun: list[str] = []
    together = threading.Barrier(2, timeout=10)

    def slow(path: Path, at: Callable[[int], None] | None = None) -> str:
        begun.append(path.name)
        if path in files[-2:]:
            together.wait()  # breaks unless two threads are here
        return hash_file(path, at)

    monkeypatch.setattr(cache, "hash_file", slow)
    monkeypatch.setattr(hashing, "cores", lambda: 2)
    hash_files(files)
    assert set(begun[:2]) == {"5.bin", "4.bin"}
    assert len(begun) == 6


def test_progress_counts_what_has_to_be_read(tmp_path: Path) -> None:
    files = files_in(tmp_path, 4)
    hash_files(files[:2])
    told: list[tuple[int, int]] = []
    hash_files(files, lambda done, total: told.append((done, total)))
    left = sum(file.stat().st_size for file in files[2:])
    assert told[-1] == (left, left)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_one_file_that_fails_ends_the_others_and_keeps_what_was_finished(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_in(tmp_path, 3)
    first = hash_files(files[:1])
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError):
        hash_files([*files, tmp_path / "gone"])
    read.clear()
    assert hash_files(files[:1]) == first
    assert read == []


def test_an_error_in_one_thread_stops_a_long_file_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long, bad = files_in(tmp_path, 2)
    pieces = 0

    def reading(path: Path, at: Callable[[int], None] | None = None) -> str:
        nonlocal pieces
        assert at is not None
        if path == bad:
            raise FourwaysError("bad changed while its SHA-256 was computed")
        for _ in range(10_000):
            time.sleep(0.001)
            at(1)
            pieces += 1
        raise AssertionError("it was read to its end")

    monkeypatch.setattr(cache, "hash_file", reading)
    monkeypatch.setattr(hashing, "cores", lambda: 2)
    with pytest.raises(FourwaysError, match="bad changed"):
        hash_files([long, bad])
    assert pieces < 5_000


def test_digests_of_two_processes_add_up(tmp_path: Path, read: list[str]) -> None:
    files = files_in(tmp_path, 2)
    one, other = DigestCache(), DigestCache()
    one.sha256(files[0])
    other.sha256(files[1])
    read.clear()
    hash_files(files)
    assert read == []


@pytest.mark.parametrize("damage", [b'["/a", "1|', b"\xff\xfe", b"[1, 2]", b"{}", b"", b'["a","b"]'])
def test_a_damaged_cache_costs_time_only(tmp_path: Path, _own_cache: Path, read: list[str], damage: bytes) -> None:
    """Also half a line, as a kill may leave it: the next one begins on a line of its own."""
    files = files_in(tmp_path, 2)
    _own_cache.write_bytes(damage)
    for _ in range(2):
        assert hash_files(files) == {file: sha256(file.read_bytes()) for file in files}
    assert len(read) == 2


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "blocked"))
    files = files_in(tmp_path, 2)
    assert hash_files(files)[files[1]] == sha256(files[1].read_bytes())


def test_lines_that_no_longer_count_are_dropped(
    tmp_path: Path, _own_cache: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_MANY_LINES", 10)
    files = files_in(tmp_path, 3)
    for turn in range(5):
        for file in files:
            file.write_bytes(b"%d" % turn)
        hash_files(files)
    assert sum(line != b"" for line in _own_cache.read_bytes().splitlines()) <= 10
    read.clear()
    hash_files(files)
    assert read == []


_KILLED = """
import sys
from pathlib import Path
from fourways.hub import cache, hashing
cache._SETTLED_NS = -1
hashing.cores = lambda: 1
hashing.hash_files([Path(name) for name in sys.argv[1:]], lambda done, total: print(done, flush=True))
"""


def test_a_kill_loses_the_file_in_progress_and_no_other(tmp_path: Path, read: list[str]) -> None:
    """Forty files of a buffer each, and SIGKILL when the tenth piece was told."""
    files = files_in(tmp_path, 40, size=1 << 18)
    with subprocess.Popen([sys.executable, "-c", _KILLED, *map(str, files)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = 0
        while lines < 10 and child.stdout.readline():
            lines += 1
        child.kill()
    assert child.returncode == -signal.SIGKILL
    hash_files(files)
    assert len(read) <= 40 - lines // 2 + 1  # a file of a buffer and some bytes is told of twice
    assert len(read) < 40
