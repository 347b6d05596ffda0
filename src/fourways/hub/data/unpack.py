"""Unpacks an archive that is not trusted: only plain files, only inside the folder, only as much as was agreed.

All names and sizes are checked against the archive's directory before the first byte is written. `zipfile` never
gives more bytes of a member than the directory declares, and checks its CRC; so what was checked is what is written.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from fourways.core.errors import FourwaysError
from fourways.hub.data.catalogue import Unzip

_CHUNK = 1 << 20
_MAX_MEMBERS = 1_000_000
_ROOM_TO_SPARE = 1 << 26


def unpack(archive: Path, into: Path, rule: Unzip, at: Callable[[int], None]) -> None:
    """Writes the members that the rule asks for below `into`. at: called with the bytes written so far.

    Raises FourwaysError, naming the member, for a path that leaves the folder, a link, a special file, a name twice, a
    member with a password, or a content above rule.at_most; nothing is written then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked(opened, archive, rule)
            _check_room(into, sum(member.file_size for member in members))
            done = 0
            for member in members:
                done = _write(opened, member, into / _relative(member), done, at)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise FourwaysError(f"{archive.name} is no sound zip archive: {error}", hint="pull it again") from error


def _checked(opened: zipfile.ZipFile, archive: Path, rule: Unzip) -> list[zipfile.ZipInfo]:
    entries = opened.infolist()
    if len(entries) > _MAX_MEMBERS:
        raise _refused(archive, f"it has {len(entries):,} members")
    if sum(entry.compress_size for entry in entries) > archive.stat().st_size:
        raise _refused(archive, "its members overlap")
    for entry in entries:
        _check_member(entry, archive)
    wanted = [entry for entry in entries if not entry.is_dir() and _asked(entry, rule)]
    names = {_relative(entry).as_posix() for entry in wanted}
    if len(names) != len(wanted):
        raise _refused(archive, "it holds a name twice")
    total = sum(entry.file_size for entry in wanted)
    if total > rule.at_most:
        raise _refused(archive, f"it would unpack to {total:,} bytes, and at most {rule.at_most:,} are expected")
    if not wanted:
        raise _refused(archive, f"it holds nothing that matches {', '.join(rule.members)}")
    return wanted


def _check_member(entry: zipfile.ZipInfo, archive: Path) -> None:
    name = entry.orig_filename
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name or not pure.parts:
        raise _refused(archive, f"the member {name!r} leaves its folder")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "no plain file"
        raise _refused(archive, f"the member {name!r} is {what}")
    if entry.flag_bits & 0x1:
        raise _refused(archive, f"the member {name!r} has a password")


def _asked(entry: zipfile.ZipInfo, rule: Unzip) -> bool:
    """By the patterns; never what a system hid in the archive (.DS_Store, __MACOSX)."""
    parts = _relative(entry).parts
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return any(fnmatchcase("/".join(parts), pattern) or fnmatchcase(parts[-1], pattern) for pattern in rule.members)


def _relative(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(*(part for part in PurePosixPath(entry.filename).parts if part != "."))


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path, done: int, at: Callable[[int], None]) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, file.open("xb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            done += len(chunk)
            at(done)
    return done


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _ROOM_TO_SPARE > free:
        raise FourwaysError(
            f"unpacking needs {needed / 2**30:.1f} GiB, and {folder.parent} has {free / 2**30:.1f} GiB free",
            hint="free some space and pull again: what was fetched is kept; or set FOURWAYS_DATA to a larger disk",
        )


def _refused(archive: Path, why: str) -> FourwaysError:
    return FourwaysError(f"{archive.name} is refused: {why}", hint="it was not made as the published archive is")
