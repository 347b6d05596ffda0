"""Pulls one edition: obtain, verify, put in place; each file by itself, so that a stop loses one step at most.

The order, so that a kill at any point leaves either the old state or one from which the next pull goes on:
the part grows; it is verified whole; its digest is pinned in the lock file; (an archive is unpacked beside its place);
the stamp is written; the file or folder is renamed into place; the part is deleted. While there is a part, data that
does not fit its stamp is not in place yet; data without a stamp is never used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from fourways.core.errors import UserError
from fourways.hub.data.bring import bring
from fourways.hub.data.catalogue import Chosen, File
from fourways.hub.data.digests import Digests, digest_file
from fourways.hub.data.disk import check_room, disk_errors
from fourways.hub.data.errors import DataChanged, SourceError
from fourways.hub.data.fetch import Fetched, drop, fetch
from fourways.hub.data.lock import Lock, Pin
from fourways.hub.data.show import Show
from fourways.hub.data.sources import Origin, Source, hub_cache, origins, own_origin
from fourways.hub.data.store import (
    Placed,
    Unpacked,
    count_files,
    folder_of,
    home,
    look_at,
    part_of,
    place_of,
    read_stamp,
    write_stamp,
)
from fourways.hub.data.unpack import unpack

_SLACK = 1 << 26
_BROUGHT = ".brought"


@dataclass(frozen=True, slots=True)
class Wish:
    """How to pull. source: the only one to use where a file has it. urls: file name → an address of the user's own.
    brought: a file, folder or zip to take instead of the network. lock: the lock file; None: the one in force."""

    source: Source | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    brought: Path | None = None
    lock: Path | None = None


@dataclass(frozen=True, slots=True)
class _Obtained:
    part: Path
    source: str
    fetched: Fetched | None = None


def pull(chosen: Chosen, wish: Wish, show: Show) -> Path:
    """Brings an edition here and returns what to hand to `--suite`. What is here is not fetched again, and uses no
    network. Raises DataChanged for a file that is not the pinned one, SourceError if no source gave it, UserError for
    a wish that cannot be, FourwaysError for the disk."""
    if strange := [name for name in wish.urls if name not in chosen.edition.files]:
        raise UserError(f"{chosen} has no file {strange[0]}", hint=f"it has {', '.join(chosen.edition.files)}")
    folder, lock = folder_of(chosen), Lock.in_force(home(), wish.lock)
    with disk_errors(folder), _alone(chosen, folder, show):
        lacking = [name for name in chosen.edition.files if not _pull_file(chosen, name, wish, lock, show)]
    if lacking:
        raise UserError(
            f"{wish.brought} holds no {', '.join(lacking)}",
            hint="bring them under these names, or pull again without --from to fetch them; what is already unpacked "
            f"needs no pull: --suite {chosen.key}=PATH",
        )
    return place_of(chosen)


def _pull_file(chosen: Chosen, name: str, wish: Wish, lock: Lock, show: Show) -> bool:
    """False if what was brought does not hold the file."""
    folder, file = folder_of(chosen), chosen.edition.files[name]
    part, pin = part_of(folder, name), _agreed(chosen, name, lock)
    look = look_at(chosen, name)
    if look.state == "here":
        placed = read_stamp(folder).files[name]
        _check_pins(chosen, name, Digests(file.md5 or "", placed.sha256, placed.size), lock, str(folder / name))
        _pin(chosen, name, placed, lock)
        drop(part)
        return True
    if look.state == "changed":
        _set_aside(folder, name, show)
    check_room(folder, (file.bytes_about or 0) - look.fetched)
    obtained = _obtain(chosen, name, wish, show)
    if obtained is None:
        return False
    digests = _verify(chosen, name, obtained, lock, show)
    if pin is None and file.sha256 is None:
        show.note(f"{name}: nobody published its SHA-256; pinned now in {lock.path}")
    _install(chosen, name, obtained, digests, lock, show)
    drop(part)
    return True


# -- obtain ------------------------------------------------------------------------------------------------------------


def _obtain(chosen: Chosen, name: str, wish: Wish, show: Show) -> _Obtained | None:
    folder, file = folder_of(chosen), chosen.edition.files[name]
    part, linked = part_of(folder, name), folder / f".{name}{_BROUGHT}"
    if wish.brought is not None:
        show.begin(name, file.bytes_about)
        return _Obtained(linked, "--from") if bring(wish.brought, chosen, name, linked, show.at) else None
    if name in wish.urls:
        return _fetch(own_origin(wish.urls[name], file, name), part, file, show)
    if wish.source in (None, "huggingface") and (cached := hub_cache(file)) is not None:
        show.begin(name, file.bytes_about)
        bring(cached, chosen, name, linked, show.at)
        return _Obtained(linked, "the Hub's own cache")
    return _fetch_from_any(name, file, part, wish, show)


def _fetch_from_any(name: str, file: File, part: Path, wish: Wish, show: Show) -> _Obtained:
    """Each source in turn. With one asked for: that one, and why it failed."""
    addresses = origins(file, wish.source)
    if wish.source is not None and addresses[0].source != wish.source:
        show.note(f"{name} is not on {wish.source}; taking it from: {addresses[0].source}")
    for origin, following in zip(addresses, [*addresses[1:], None], strict=True):
        try:
            return _fetch(origin, part, file, show)
        except SourceError as error:
            if following is None:
                raise
            show.note(f"{error.message}; trying: {following.source}")
    raise SourceError(f"{name} has no source")


def _fetch(origin: Origin, part: Path, file: File, show: Show) -> _Obtained:
    about = file.bytes_about
    at_most = None if about is None else 2 * about + _SLACK
    return _Obtained(part, origin.shown, fetch(origin, part, at_most, show))


# -- verify ------------------------------------------------------------------------------------------------------------


def _verify(chosen: Chosen, name: str, obtained: _Obtained, lock: Lock, show: Show) -> Digests:
    """The digests of the whole, once they are the pinned ones. A wrong part is deleted: to go on with it is useless."""
    show.begin(f"checking {name}", obtained.part.stat().st_size)
    digests = digest_file(obtained.part, show.at)
    try:
        _check_pins(chosen, name, digests, lock, obtained.source)
        _check_announced(name, digests, obtained)
    except (DataChanged, SourceError) as error:
        drop(obtained.part)
        if obtained.fetched is not None and obtained.fetched.resumed:
            raise SourceError(
                f"{error.message} (it was fetched in pieces)", hint="pull again: it is now fetched in one piece"
            ) from error
        raise
    return digests


def _check_pins(chosen: Chosen, name: str, found: Digests, lock: Lock, source: str) -> None:
    file, pin = chosen.edition.files[name], lock.pin(f"{chosen}/{name}")
    for kind, pinned, actual, where in (
        ("sha256", file.sha256, found.sha256, "the catalogue"),
        ("sha256", pin.sha256 if pin else None, found.sha256, str(lock.path)),
        ("md5", file.md5, found.md5, "the catalogue"),
    ):
        if pinned is not None and pinned != actual:
            raise DataChanged(
                f"{name} is not the file that was pinned: {kind} {pinned} is pinned in {where}, "
                f"and {kind} {actual} came from {source}",
                hint=_way_out(chosen, name, where, lock),
            )


def _way_out(chosen: Chosen, name: str, where: str, lock: Lock) -> str:
    others = "try another --source, or bring the right file: --from PATH"
    if where == str(lock.path):
        return f"{others}; if the change is meant, delete the entry {chosen}/{name} from {lock.path} and pull again"
    return f"{others}; scores on another file compare with no published one, so it was not kept"


def _check_announced(name: str, found: Digests, obtained: _Obtained) -> None:
    announced = obtained.fetched.announced_sha256 if obtained.fetched else None
    if announced is not None and announced != found.sha256:
        raise SourceError(
            f"{name} arrived damaged: the Hub says sha256 {announced}, and {found.sha256} came",
            hint="pull again",
        )


def _agreed(chosen: Chosen, name: str, lock: Lock) -> Pin | None:
    """The lock's pin. Raises DataChanged if lock file and catalogue contradict each other: nothing could satisfy
    both."""
    pin, pinned = lock.pin(f"{chosen}/{name}"), chosen.edition.files[name].sha256
    if pin is not None and pinned is not None and pin.sha256 != pinned:
        raise DataChanged(
            f"{name}: {lock.path} pins sha256 {pin.sha256}, and the catalogue sha256 {pinned}",
            hint=f"delete the entry {chosen}/{name} from {lock.path} if the catalogue is right",
        )
    return pin


def _pin(chosen: Chosen, name: str, placed: Placed, lock: Lock) -> None:
    """Also of what was pulled before this lock file was in force."""
    if lock.pin(f"{chosen}/{name}") is None:
        today = datetime.now(UTC).date().isoformat()
        lock.add(f"{chosen}/{name}", Pin(placed.sha256, placed.size, placed.source, today))


# -- put in place ------------------------------------------------------------------------------------------------------


def _install(chosen: Chosen, name: str, obtained: _Obtained, digests: Digests, lock: Lock, show: Show) -> None:
    folder, file, part = folder_of(chosen), chosen.edition.files[name], obtained.part
    commit = obtained.fetched.revision if obtained.fetched else None
    source = f"{obtained.source} (commit {commit})" if commit and commit not in obtained.source else obtained.source
    placed = Placed(digests.sha256, digests.size, source, part.stat().st_mtime_ns)
    _pin(chosen, name, placed, lock)
    if file.unzip is None:
        _sync(part)
        write_stamp(folder, name, placed)
        part.replace(folder / name)
        drop(part)
        return
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as beside:
        unpack(part, name, Path(beside), file.unzip, show)
        tops = tuple(sorted(entry.name for entry in Path(beside).iterdir()))
        roots = tuple((Path(file.unzip.into) / top).as_posix() for top in tops)
        files, size = count_files(Path(beside), tops)
        unpacked = Placed(digests.sha256, digests.size, source, 0, Unpacked(roots, files, size))
        (folder / file.unzip.into).mkdir(parents=True, exist_ok=True)
        write_stamp(folder, name, unpacked)
        for top, root in zip(tops, roots, strict=True):
            _make_way(folder / root)
            (Path(beside) / top).replace(folder / root)
    drop(part)


def _make_way(place: Path) -> None:
    """For what is put there now: a leaving of a pull that was killed is in the way."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _set_aside(folder: Path, name: str, show: Show) -> None:
    """What somebody changed is kept under a hidden name, and fetched again."""
    placed = read_stamp(folder).files[name]
    roots = placed.unpacked.roots if placed.unpacked else (name,)
    for root in roots:
        place = folder / root
        if place.exists():
            kept = place.with_name(f".{place.name}.changed-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            place.rename(kept)
            show.note(f"{place} was changed since it was pulled; it is kept as {kept.name}")
    write_stamp(folder, name, None)


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


@contextmanager
def _alone(chosen: Chosen, folder: Path, show: Show) -> Iterator[None]:
    """One pull of an edition at a time, over all processes; the system frees the lock of a killed one."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{chosen.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        show.note(f"another pull of {chosen} is running; waiting for it")
        lock.acquire()
    try:
        for leaving in (*folder.glob(".unpack-*"), *folder.glob(f".*{_BROUGHT}")):
            _make_way(leaving)
        yield
    finally:
        lock.release()
