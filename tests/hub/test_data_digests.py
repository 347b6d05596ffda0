"""The memory of data's digests: the same answer as reading it, and never an old one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fourways.core.digests import hash_data
from fourways.hub.data import data_sha256, digests


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name, content in {"b/2.jpg": b"two", "a.tsv": b"one", ".hidden/x": b"no", "b/.y": b"no"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every time that data was read whole."""
    seen: list[Path] = []

    def counted(path: Path) -> str:
        seen.append(path)
        return hash_data(path)

    monkeypatch.setattr(digests, "hash_data", counted)
    return seen


def test_it_says_what_reading_says(data: Path) -> None:
    for path in (data, data / "a.tsv", data / "b"):
        assert data_sha256(path) == hash_data(path) == data_sha256(path)


def test_unchanged_data_is_read_once(data: Path, reads: list[Path]) -> None:
    assert data_sha256(data) == data_sha256(data)
    assert reads == [data]


def _edit(data: Path) -> None:
    (data / "a.tsv").write_bytes(b"uno")


def _edit_and_hide_it(data: Path) -> None:
    """Same size, and the old modification time put back: the change time cannot be."""
    stat = (data / "a.tsv").stat()
    (data / "a.tsv").write_bytes(b"uno")
    os.utime(data / "a.tsv", ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _replace(data: Path) -> None:
    stat = (data / "a.tsv").stat()
    (data / "new").write_bytes(b"uno")
    os.utime(data / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (data / "new").replace(data / "a.tsv")


def _add(data: Path) -> None:
    (data / "b" / "3.jpg").write_bytes(b"three")


def _remove(data: Path) -> None:
    (data / "b" / "2.jpg").unlink()


def _rename(data: Path) -> None:
    (data / "a.tsv").rename(data / "c.tsv")


def _link(data: Path) -> None:
    (data.parent / "elsewhere").write_bytes(b"other")
    (data / "a.tsv").unlink()
    (data / "a.tsv").symlink_to(data.parent / "elsewhere")


@pytest.mark.parametrize("change", [_edit, _edit_and_hide_it, _replace, _add, _remove, _rename, _link])
def test_changed_data_is_read_again(change: Callable[[Path], None], data: Path, reads: list[Path]) -> None:
    before = data_sha256(data)
    time.sleep(0.02)
    change(data)
    assert data_sha256(data) == hash_data(data) != before
    assert len(reads) == 2


def test_hidden_files_do_not_count(data: Path, reads: list[Path]) -> None:
    before = data_sha256(data)
    (data / ".fourways.json").write_text("{}")
    assert data_sha256(data) == before == hash_data(data)
    assert len(reads) == 1


def test_data_that_was_just_written_is_not_remembered(
    data: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_NS", 60_000_000_000)
    data_sha256(data), data_sha256(data)
    assert len(reads) == 2


def test_data_that_changes_while_it_is_read_is_not_remembered(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: Path) -> str:
        digest = hash_data(path)
        _edit(path)
        return digest

    with monkeypatch.context() as patched:
        patched.setattr(digests, "hash_data", slow)
        data_sha256(data)
    assert data_sha256(data) == hash_data(data)


@pytest.mark.parametrize("content", [b"", b"{", b'{"/": ["a", "b"]}', b"[1]", b"\xff"])
def test_a_broken_memory_costs_time_only(content: bytes, data: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "data-sha256.json").write_bytes(content)
    assert data_sha256(data) == hash_data(data)


def test_a_memory_that_cannot_be_written_costs_time_only(data: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    assert data_sha256(data) == hash_data(data)


def test_what_is_gone_is_forgotten(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tsv"
    other.write_bytes(b"x")
    data_sha256(other)
    other.unlink()
    data_sha256(data)
    assert str(other) not in (tmp_path / "cache" / "data-sha256.json").read_text()
