"""Unpacks an archive that is not trusted: only plain files, only inside the folder, only as much as was agreed.

All names and sizes are checked against the archive's directory before the first byte is written. `zipfile` never
gives more bytes of a member than the directory declares, and checks its CRC; so what was checked is what is written.
"""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import zipfile
import zlib
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from fourways.core.errors import FourwaysError
from fourways.hub.data.catalogue import Unzip
from fourways.hub.data.disk import check_room
from fourways.hub.data.show import Show

_CHUNK = 1 << 20
_MAX_MEMBERS = 1_000_000
_UNSOUND = (
    zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, IndexError, OverflowError,
    struct.error, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What `zipfile` raises for archives that were damaged or made to harm."""
_OF_ITS_NAMES = (errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


class _Refused(Exception):
    """Why an archive is not unpacked."""


def unpack(archive: Path, name: str, into: Path, rule: Unzip, show: Show) -> None:
    """Writes the members that the rule asks for below `into`. name: the archive's, for a person.

    Raises FourwaysError, naming the member, for a path that leaves the folder, a link, a special file, a name twice, a
    member with a password, or a content above rule.at_most; nothing is written then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked(opened, archive.stat().st_size, rule)
            total, done = sum(member.file_size for member in members), 0
            check_room(into, total)
            show.begin(f"unpacking {name}", total)
            for member in members:
                done = _write(opened, member, into / _relative(member), done, show)
    except _Refused as error:
        raise FourwaysError(f"{name} is refused: {error}", hint="the published archive is not like that") from error
    except _UNSOUND as error:
        raise FourwaysError(f"{name} is no sound zip archive: {error}", hint="pull it again") from error
    except OSError as error:
        if error.errno not in _OF_ITS_NAMES:
            raise
        raise FourwaysError(f"{name} is no sound zip archive: {error}", hint="pull it again") from error


def _checked(opened: zipfile.ZipFile, size: int, rule: Unzip) -> list[zipfile.ZipInfo]:
    entries = opened.infolist()
    if len(entries) > _MAX_MEMBERS:
        raise _Refused(f"it has {len(entries):,} members")
    if sum(entry.compress_size for entry in entries) > size:
        raise _Refused("its members overlap")
    for entry in entries:
        _check_member(entry)
    wanted = [entry for entry in entries if not entry.is_dir() and _asked(entry, rule)]
    names = {_relative(entry).as_posix() for entry in wanted}
    if len(names) != len(wanted):
        raise _Refused("it holds a name twice")
    total = sum(entry.file_size for entry in wanted)
    if total > rule.at_most:
        raise _Refused(f"it would unpack to {total:,} bytes, and at most {rule.at_most:,} are expected")
    if not wanted:
        raise _Refused(f"it holds nothing that matches {', '.join(rule.members)}")
    return wanted


def _check_member(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name or not pure.parts:
        raise _Refused(f"the member {name!r} leaves its folder")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "no plain file"
        raise _Refused(f"the member {name!r} is {what}")
    if entry.flag_bits & 0x1:
        raise _Refused(f"the member {name!r} has a password")


def _asked(entry: zipfile.ZipInfo, rule: Unzip) -> bool:
    """By the patterns; never what a system hid in the archive (.DS_Store, __MACOSX)."""
    parts = _relative(entry).parts
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return any(fnmatchcase("/".join(parts), pattern) or fnmatchcase(parts[-1], pattern) for pattern in rule.members)


def _relative(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(*(part for part in PurePosixPath(entry.filename).parts if part != "."))


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path, done: int, show: Show) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, file.open("xb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            done += len(chunk)
            show.at(done)
    return done
