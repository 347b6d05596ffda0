"""Data that the user brought, for machines that no download reaches: a file, a folder, or a zip of the files."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from fourways.core.errors import UserError
from fourways.hub.data.catalogue import Chosen
from fourways.hub.data.errors import disk_errors
from fourways.hub.data.fetch import drop

_CHUNK = 1 << 20


def bring(brought: Path, chosen: Chosen, name: str, part: Path, at: Callable[[int], None]) -> str:
    """Puts one file of an edition, found by its name, at `part`: linked where the file system can, else copied. The
    user's own file is only read. Returns where it was found; raises UserError if it is not there."""
    if brought.is_dir():
        found = _in_folder(brought, name)
    elif brought.name == name or (len(chosen.edition.files) == 1 and not _holds(brought, name)):
        found = brought
    else:
        found = None
    drop(part)  # with its description: nothing may ever be appended to what is linked here
    with disk_errors(part):
        if found is not None and found.is_file():
            _link(found, part, at)
            return str(found)
        if brought.is_file() and (member := _member(brought, name)) is not None:
            _from_zip(brought, member, part, at)
            return f"{brought}, {member}"
    if not brought.exists():
        raise UserError(f"there is nothing at {brought}")
    raise UserError(
        f"{brought} holds no {name}",
        hint=f"bring {', '.join(chosen.edition.files)} under these names; what is already unpacked needs no pull: "
        f"--suite {chosen.key}=PATH",
    )


def _in_folder(folder: Path, name: str) -> Path | None:
    """At its top, else the first below it."""
    top = folder / name
    return top if top.is_file() else next((file for file in sorted(folder.rglob(name)) if file.is_file()), None)


def _holds(file: Path, name: str) -> bool:
    return _member(file, name) is not None


def _member(file: Path, name: str) -> str | None:
    """The member of a zip with this last name."""
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as opened:
        return next((member for member in opened.namelist() if PurePosixPath(member).name == name), None)


def _link(found: Path, part: Path, at: Callable[[int], None]) -> None:
    try:
        os.link(found.resolve(), part)
    except OSError:  # another disk, a system without links, or a file of somebody else
        with found.open("rb") as source, part.open("wb") as target:
            _copy(source.read, target.write, at)
    at(part.stat().st_size)


def _from_zip(archive: Path, member: str, part: Path, at: Callable[[int], None]) -> None:
    with zipfile.ZipFile(archive) as opened:
        declared, free = opened.getinfo(member).file_size, shutil.disk_usage(part.parent).free
        if declared > free:
            raise UserError(f"{member} in {archive} needs {declared:,} bytes, and {part.parent} has {free:,} free")
        try:
            with opened.open(member) as source, part.open("wb") as target:
                _copy(source.read, target.write, at)
        except (zipfile.BadZipFile, RuntimeError) as error:
            raise UserError(f"{member} in {archive} cannot be unpacked: {error}") from error


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], int], at: Callable[[int], None]) -> None:
    done = 0
    while chunk := read(_CHUNK):
        write(chunk)
        done += len(chunk)
        at(done)
