"""Where data lies, and whether it is still what was pulled.

`HOME/KEY/EDITION/` holds an edition as it is handed to `--suite`. `.fourways.json` in it (a hidden name, so no part of
the data's identity) says of each file its digest and what the disk said when it was put there. Data counts as there
only if the disk still says the same; a file whose time changed is read again. Nothing here uses the network.
"""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from fourways.core.errors import FourwaysError
from fourways.core.run_files import write_whole
from fourways.hub.cache import cache_home
from fourways.hub.data.catalogue import Chosen, choose, load_catalogue
from fourways.hub.data.digests import Digests, digest_file
from fourways.hub.data.errors import DataChanged
from fourways.hub.data.lock import Lock
from fourways.hub.data.pins import check_pins

VARIABLE = "FOURWAYS_DATA"
SCHEMA = "fourways.data-place/1"
_STAMP = ".fourways.json"

State = Literal["here", "part", "changed", "absent"]


class Unpacked(msgspec.Struct, frozen=True):
    """What an archive became: the names at its top, and the files and bytes below them."""

    roots: tuple[str, ...]
    files: int
    size: int


class Placed(msgspec.Struct, frozen=True):
    """One file of an edition. digests: the published file's (of an archive: the archive's)."""

    digests: Digests
    source: str
    mtime_ns: int = 0
    unpacked: Unpacked | None = None


class Stamp(msgspec.Struct):
    """By file name."""

    schema: str
    files: dict[str, Placed]


@dataclass(frozen=True, slots=True)
class Look:
    """What is there of one file. fetched: bytes of a part."""

    state: State
    fetched: int = 0


def home() -> Path:
    """`$FOURWAYS_DATA`, else `data` in Fourways' cache."""
    own = os.environ.get(VARIABLE)
    return Path(own).expanduser() if own else cache_home() / "data"


def place_of(chosen: Chosen) -> Path:
    """What to hand to `--suite`, whether it is there or not."""
    return folder_of(chosen) / chosen.edition.path


def folder_of(chosen: Chosen) -> Path:
    return home() / chosen.key / chosen.name


def find(key: str, edition: str | None = None) -> Path | None:
    """The data of a benchmark if it was pulled whole, to hand to `--suite`; without an edition the first in the
    catalogue's order that is there. None if none is, or if the catalogue does not know the benchmark. Raises
    DataChanged if it changed since, UserError for an edition that the catalogue has not."""
    catalogue = load_catalogue()
    if key not in catalogue.benchmarks:
        return None
    wanted = choose(catalogue, key if edition is None else f"{key}:{edition}")
    names = list(catalogue.benchmarks[key]) if edition is None else [wanted.name]
    for name in names:
        chosen = choose(catalogue, f"{key}:{name}")
        if state_of(chosen) == "here":
            return place_of(chosen)
    return None


def state_of(chosen: Chosen) -> State:
    """here: all files, unchanged. part: some of it. absent: nothing. Raises DataChanged if a file is not what was
    pulled, or not what is pinned."""
    looks = {name: look_at(chosen, name) for name in chosen.edition.files}
    if changed := [name for name, look in looks.items() if look.state == "changed"]:
        raise DataChanged(
            f"{folder_of(chosen) / changed[0]} is not what was pulled: it was changed or deleted since",
            hint=f"fetch it again: fourways data pull {chosen}",
        )
    folder, lock = folder_of(chosen), Lock.in_force(home())
    for name, placed in read_stamp(folder).files.items():
        if name in chosen.edition.files:
            check_pins(chosen, name, placed.digests, lock, str(folder / name))
    states = {look.state for look in looks.values()}
    if states == {"here"}:
        return "here"
    return "absent" if states == {"absent"} else "part"


def look_at(chosen: Chosen, name: str) -> Look:
    """Of one file."""
    folder = folder_of(chosen)
    placed = read_stamp(folder).files.get(name)
    if placed is not None and _untouched(folder, name, placed):
        return Look("here")
    if parts := parts_of(folder, name):  # also where a stop came between the stamp and the data
        return Look("part", max(part.stat().st_size for part in parts))
    return Look("absent" if placed is None else "changed")


def part_of(folder: Path, name: str, source: str) -> Path:
    """Where a file grows while it is fetched from a source: what one gave is not lost when another is tried."""
    return folder / f".{name}.{source}.part"


def parts_of(folder: Path, name: str) -> list[Path]:
    """What there is of a file, from any source."""
    return sorted(folder.glob(f".{glob.escape(name)}.*.part"))


def read_stamp(folder: Path) -> Stamp:
    """An empty one if there is none, or if it cannot be read: then the data is not known to be right."""
    try:
        stamp = msgspec.json.decode((folder / _STAMP).read_bytes(), type=Stamp)
    except (OSError, msgspec.DecodeError):
        return Stamp(SCHEMA, {})
    return stamp if stamp.schema == SCHEMA else Stamp(SCHEMA, {})


def write_stamp(folder: Path, name: str, placed: Placed | None) -> None:
    """Adds, replaces or (None) removes one file's entry."""
    stamp = read_stamp(folder)
    if placed is None:
        stamp.files.pop(name, None)
    else:
        stamp.files[name] = placed
    write_whole(folder / _STAMP, msgspec.json.format(msgspec.json.encode(stamp), indent=1) + b"\n")


def count_files(folder: Path, roots: tuple[str, ...]) -> tuple[int, int]:
    """Files and bytes below the roots; links count as nothing."""
    files = size = 0
    waiting = [folder / root for root in roots]
    while waiting:
        place = waiting.pop()
        if place.is_symlink() or not place.exists():
            continue
        if place.is_file():
            files, size = files + 1, size + place.stat().st_size
            continue
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
    return files, size


def _untouched(folder: Path, name: str, placed: Placed) -> bool:
    if placed.unpacked is not None:
        unpacked = placed.unpacked
        return count_files(folder, unpacked.roots) == (unpacked.files, unpacked.size)
    try:
        stat = (folder / name).stat()
    except OSError:
        return False
    if stat.st_size != placed.digests.size:
        return False
    if stat.st_mtime_ns == placed.mtime_ns:
        return True
    same = digest_file(folder / name, lambda _: None) == placed.digests
    if same:
        with suppress(FourwaysError):  # a folder that may not be written: it is read again next time
            write_stamp(folder, name, msgspec.structs.replace(placed, mtime_ns=stat.st_mtime_ns))
    return same
