"""Data that the user brought, for machines that no download reaches: a file, a folder, or a zip of the files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from fourways.core.errors import UserError
from fourways.hub.data.catalogue import Chosen
from fourways.hub.data.disk import check_room, disk_errors

_CHUNK = 1 << 20


def bring(brought: Path, chosen: Chosen, name: str, part: Path, at: Callable[[int], None]) -> bool:
    """Puts one file of an edition, found by its name, at `part`: linked where the file system can, else copied; never
    to be written to, because it may be the user's own file. False if it is not there.

    A folder is searched below its top only for files with a published digest: of any other, whatever bears the name
    would be trusted.
    """
    found = _in_folder(brought, chosen, name) if brought.is_dir() else _itself(brought, chosen, name)
    member = _member(brought, name) if found is None and brought.is_file() else None
    if found is None and member is None:
        return False
    if found is not None:
        take(found, part, at)
    elif member is not None:
        part.unlink(missing_ok=True)
        with disk_errors(part):
            _from_zip(brought, member, part, at)
    return True


def take(found: Path, part: Path, at: Callable[[int], None]) -> None:
    """Puts this very file at `part`, whatever it is called: linked where the file system can, else copied."""
    part.unlink(missing_ok=True)
    with disk_errors(part):
        _link(found, part, at)


def _in_folder(folder: Path, chosen: Chosen, name: str) -> Path | None:
    """At its top, else the first below it."""
    top, file = folder / name, chosen.edition.files[name]
    if top.is_file() or (file.sha256 is None and file.md5 is None):
        return top if top.is_file() else None
    return next((below for below in sorted(folder.rglob(name)) if below.is_file()), None)


def _itself(file: Path, chosen: Chosen, name: str) -> Path | None:
    """A file under its own name; under another one if the edition has only this."""
    if file.name == name:
        return file
    return file if len(chosen.edition.files) == 1 and _member(file, name) is None else None


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
        check_room(part.parent, opened.getinfo(member).file_size)
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
