"""Whether a registered folder is still what was registered. No file is read: names, sizes and times are compared, and
digests where they are known already. Before a measurement every file is hashed (`check_same`)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fourways.core.errors import CheckpointError
from fourways.hub.cache import DigestCache
from fourways.hub.look import checkpoint_files
from fourways.hub.registry.entry import Entry, Stamp

State = Literal["ok", "pending", "touched", "changed", "gone", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Condition:
    """ok: sizes and times as registered. pending: so far, but not every file was hashed. touched: a time differs, and
    the file has not been read since. changed: files differ from what was registered. gone: the folder is not there.
    elsewhere: it was registered on another machine, and is not here. why: one line, empty for ok."""

    state: State
    why: str = ""


def this_host() -> str:
    return socket.gethostname() or "?"


def stamp_of(file: Path) -> Stamp:
    """Raises OSError."""
    stat = file.stat()
    return Stamp(stat.st_size, stat.st_mtime_ns)


def condition_of(entry: Entry) -> Condition:
    """What can be said without reading a file."""
    folder = Path(entry.folder)
    if not folder.is_dir():
        if entry.host != this_host():
            return Condition("elsewhere", f"registered on {entry.host}; {folder} is not on this machine")
        return Condition("gone", f"{folder} is not there any more")
    cache, touched = DigestCache(), ""
    for file in entry.files:
        path = folder / file.name
        try:
            found = stamp_of(path)
        except OSError as error:
            return Condition("changed", f"{path} cannot be read: {error.strerror or error}")
        if found.bytes != file.bytes:
            return Condition("changed", f"{file.name} has {found.bytes:,} bytes, and had {file.bytes:,}")
        if found != entry.stamps.get(file.name):
            digest = cache.known(path)
            if digest is not None and file.sha256 is not None and digest != file.sha256:
                return Condition("changed", f"{file.name} is another than was registered")
            touched = touched or ("" if digest is not None and digest == file.sha256 else file.name)
    if new := _new_files(entry, folder):
        return Condition("changed", f"{', '.join(new[:3])} {'is' if len(new) == 1 else 'are'} new")
    if entry.identity is None:
        return Condition("pending", "not every file was hashed yet")
    return Condition("touched", f"{touched} was written since, and not read again") if touched else Condition("ok")


def check_usable(entry: Entry) -> None:
    """Raises CheckpointError if the entry is known not to be what was registered."""
    found = condition_of(entry)
    if found.state in ("gone", "elsewhere"):
        raise CheckpointError(
            f"{entry.name} is registered, but {found.why}",
            hint=f"put it back; or forget it: fourways models remove {entry.name}",
        )
    if found.state == "changed":
        raise _changed(entry, found.why)


def check_same(entry: Entry, sha256: Mapping[str, str]) -> None:
    """Whether every file that was hashed (for random weights: the small ones) holds what was registered, where that was
    hashed too. sha256: by file name. Raises CheckpointError, naming those that do not."""
    known = {file.name: file.sha256 for file in entry.files}
    other = [name for name, digest in sorted(sha256.items()) if known.get(name, "") not in (None, digest)]
    if other:
        raise _changed(entry, f"{', '.join(other[:3])} {'is' if len(other) == 1 else 'are'} not as registered")


def _new_files(entry: Entry, folder: Path) -> list[str]:
    if entry.kind == "adapter":
        return []
    return sorted({file.name for file in checkpoint_files(folder, ())} - {file.name for file in entry.files})


def _changed(entry: Entry, why: str) -> CheckpointError:
    return CheckpointError(
        f"{entry.name} changed since it was registered: {why}",
        hint=f"to measure it as it is, name its folder {entry.folder}; to accept it under this name: "
        f"fourways models remove {entry.name}, then add it again",
    )
