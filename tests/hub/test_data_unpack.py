"""Unpacking archives that nobody vouches for."""

from __future__ import annotations

import io
import stat
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.errors import FourwaysError
from fourways.hub.data.catalogue import Unzip
from fourways.hub.data.show import Silent
from fourways.hub.data.unpack import unpack

ALL = Unzip(".", 1_000_000)


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info


def write(file: Path, *members: tuple[zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", how) as opened:
        for info, content in members:
            opened.writestr(info, content, how)
    return file


def take(archive: Path, into: Path, rule: Unzip = ALL) -> dict[str, bytes]:
    into.mkdir(exist_ok=True)
    unpack(archive, "a.zip", into, rule, Silent())
    return {p.relative_to(into).as_posix(): p.read_bytes() for p in into.rglob("*") if p.is_file()}


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", (member("d/1.txt"), b"one"), (member("2.txt"), b"two" * 1000))
    assert take(archive, tmp_path / "out") == {"d/1.txt": b"one", "2.txt": b"two" * 1000}


def test_only_what_is_asked_for_comes_out(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", (member("x_test2015.json"), b"1"), (member("d/x_test-dev2015.json"), b"2"))
    assert take(archive, tmp_path / "out", Unzip(".", 10, ("*_test-dev2015.json",))) == {"d/x_test-dev2015.json": b"2"}


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/x", "a/../../x", "..", "C:/x", "C:\\x", "a\\..\\..\\x", "\\\\host\\x", "a/\0x"]
)
def test_a_member_that_leaves_its_folder_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", (member("good.txt"), b"1"), (member(name), b"2"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FourwaysError, match="leaves its folder"):
        take(archive, tmp_path / "out")
    assert sorted(p for p in tmp_path.rglob("*") if p != tmp_path / "out") == before


@pytest.mark.parametrize(
    ("mode", "words"),
    [(stat.S_IFLNK | 0o777, "is a link"), (stat.S_IFIFO, "no plain file"), (stat.S_IFCHR, "no plain")],
)
def test_links_and_devices_are_refused(mode: int, words: str, tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", (member("link", mode), b"/etc/passwd"), (member("link/x"), b"2"))
    with pytest.raises(FourwaysError, match=words):
        take(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", (member("bomb"), b"\0" * 50_000_000))
    assert archive.stat().st_size < 100_000
    with pytest.raises(FourwaysError, match="would unpack to 50,000,000 bytes, and at most 1,000,000"):
        take(archive, tmp_path / "out")


def test_a_bomb_whose_directory_lies_gives_no_more_than_it_says(tmp_path: Path) -> None:
    """The directory says 10 bytes of 50 MB: the CRC is then wrong, and 10 bytes at most were written."""
    archive = write(tmp_path / "a.zip", (member("bomb"), b"\0" * 50_000_000))
    body = bytearray(archive.read_bytes())
    central = body.index(b"PK\x01\x02")
    body[central + 24 : central + 28] = (10).to_bytes(4, "little")
    archive.write_bytes(body)
    with pytest.raises(FourwaysError, match="no sound zip archive"):
        take(archive, tmp_path / "out")
    assert (tmp_path / "out" / "bomb").stat().st_size <= 10


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """One body of 1 kB under a hundred names, as in a bomb without compression."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr(member("0"), bytes(range(256)) * 4)
        first = opened.filelist[0]
        for number in range(1, 100):
            copy = member(str(number))
            copy.header_offset, copy.CRC = first.header_offset, first.CRC
            copy.file_size, copy.compress_size = first.file_size, first.compress_size
            opened.filelist.append(copy)
        opened._didModify = True  # type: ignore[attr-defined]  # no public way to write such an archive
    (tmp_path / "a.zip").write_bytes(held.getvalue())
    with pytest.raises(FourwaysError, match="overlap"):
        take(tmp_path / "a.zip", tmp_path / "out")


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        archive = write(tmp_path / "a.zip", (member("x"), b"1"), (member("./x"), b"2"), (member("x"), b"3"))
    with pytest.raises(FourwaysError, match="a name twice"):
        take(archive, tmp_path / "out")


def test_a_member_with_a_password_is_refused(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", (member("x"), b"1"))
    body = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(mark) + at] |= 1
    archive.write_bytes(body)
    with pytest.raises(FourwaysError, match="has a password"):
        take(archive, tmp_path / "out")


@pytest.mark.parametrize("body", [b"", b"no zip", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_said(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(body)
    with pytest.raises(FourwaysError, match="no sound zip archive"):
        take(tmp_path / "a.zip", tmp_path / "out")


def test_an_archive_cut_short_is_said(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", (member("x"), bytes(range(256)) * 500), how=zipfile.ZIP_STORED)
    body = bytearray(archive.read_bytes())
    body[5000:6000] = b"\0" * 1000
    archive.write_bytes(body)
    with pytest.raises(FourwaysError, match="no sound zip archive"):
        take(archive, tmp_path / "out")


_NAMES = st.text(st.sampled_from("ab./\\:~ \0é"), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(_NAMES, st.binary(max_size=20)), min_size=1, max_size=5, unique_by=lambda pair: pair[0]))
def test_whatever_the_names_nothing_lands_outside(pairs: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as held:
        home = Path(held)
        archive = write(home / "a.zip", *((member(name), content) for name, content in pairs))
        try:
            took = take(archive, home / "out")
        except FourwaysError:
            took = None
        assert sorted(p.name for p in home.iterdir()) == ["a.zip", "out"]
        if took is not None:
            assert len(took) <= len(pairs)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=8), st.integers(0, 10_000))
def test_a_damaged_archive_never_surprises(damage: bytes, place: int) -> None:
    with tempfile.TemporaryDirectory() as held:
        home = Path(held)
        archive = write(home / "a.zip", (member("d/1.txt"), b"one" * 50), (member("2.txt"), b"two"))
        body = bytearray(archive.read_bytes())
        at = place % len(body)
        body[at : at + len(damage)] = damage
        archive.write_bytes(body)
        with suppress(FourwaysError):
            take(archive, home / "out")
        assert sorted(p.name for p in home.iterdir()) == ["a.zip", "out"]
