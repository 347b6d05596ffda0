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
from fourways.hub.data.catalogue import Chosen
from fourways.hub.data.digests import Digests, digest_file
from fourways.hub.data.disk import check_room, disk_errors
from fourways.hub.data.errors import DataChanged, SourceError
from fourways.hub.data.fetch import Errand, Fetched, drop, fetch
from fourways.hub.data.lock import Lock, Pin
from fourways.hub.data.pins import agreed_pin, check_pins, entry
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
    parts_of,
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
    if wish.brought is not None and not wish.brought.exists():
        raise UserError(f"there is nothing at {wish.brought}")
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
    pin, look = agreed_pin(chosen, name, lock), look_at(chosen, name)
    if look.state == "here" and _is_pinned_one(chosen, name, lock, show):
        _pin(chosen, name, read_stamp(folder).files[name], lock)
    else:
        check_room(folder, (file.bytes_about or 0) - look.fetched)
        obtained = _obtain(chosen, name, wish, show)
        if obtained is None:
            return False
        digests = _verify(chosen, name, obtained, lock, show)
        if pin is None and file.sha256 is None:
            show.note(f"{name}: nobody published its SHA-256; pinned now in {lock.path}")
        if look.state in ("here", "changed"):
            _set_aside(folder, name, show)
        _install(chosen, name, obtained, digests, lock, show)
    for part in parts_of(folder, name):
        drop(part)
    return True


def _is_pinned_one(chosen: Chosen, name: str, lock: Lock, show: Show) -> bool:
    """Of what is here: pins may have come later, with a lock file or a newer catalogue."""
    folder = folder_of(chosen)
    placed = read_stamp(folder).files[name]
    try:
        check_pins(chosen, name, placed.digests, lock, str(folder / name))
    except DataChanged as error:
        show.note(f"{error.message}; fetching the pinned one")
        return False
    return True


# -- obtain ------------------------------------------------------------------------------------------------------------


def _obtain(chosen: Chosen, name: str, wish: Wish, show: Show) -> _Obtained | None:
    folder, file = folder_of(chosen), chosen.edition.files[name]
    linked = folder / f".{name}{_BROUGHT}"
    if wish.brought is not None:
        show.begin(name, file.bytes_about)
        return _Obtained(linked, "--from") if bring(wish.brought, chosen, name, linked, show.at) else None
    if name in wish.urls:
        return _fetch(own_origin(wish.urls[name], file, name), chosen, name, show)
    if wish.source in (None, "huggingface") and (cached := hub_cache(file)) is not None:
        show.begin(name, file.bytes_about)
        bring(cached, chosen, name, linked, show.at)
        return _Obtained(linked, "the Hub's own cache")
    return _fetch_from_any(chosen, name, wish, show)


def _fetch_from_any(chosen: Chosen, name: str, wish: Wish, show: Show) -> _Obtained:
    """Each source in turn. With one asked for: that one, and why it failed."""
    addresses = origins(chosen.edition.files[name], wish.source)
    if wish.source is not None and addresses[0].source != wish.source:
        show.note(f"{name} is not on {wish.source}; taking it from: {addresses[0].source}")
    for origin, following in zip(addresses, [*addresses[1:], None], strict=True):
        try:
            return _fetch(origin, chosen, name, show)
        except SourceError as error:
            if following is None:
                raise
            show.note(f"{error.message}; trying: {following.source}")
    raise SourceError(f"{name} has no source")


def _fetch(origin: Origin, chosen: Chosen, name: str, show: Show) -> _Obtained:
    about, part = chosen.edition.files[name].bytes_about, part_of(folder_of(chosen), name, origin.source)
    at_most = None if about is None else 2 * about + _SLACK
    return _Obtained(part, origin.shown, fetch(Errand(origin, name, part, at_most, show)))


# -- verify ------------------------------------------------------------------------------------------------------------


def _verify(chosen: Chosen, name: str, obtained: _Obtained, lock: Lock, show: Show) -> Digests:
    """The digests of the whole, once they are the pinned ones. A wrong part is deleted: to go on with it is useless."""
    show.begin(f"checking {name}", obtained.part.stat().st_size)
    digests = digest_file(obtained.part, show.at)
    try:
        check_pins(chosen, name, digests, lock, obtained.source)
        _check_announced(name, digests, obtained)
    except (DataChanged, SourceError) as error:
        drop(obtained.part)
        if obtained.fetched is not None and obtained.fetched.resumed:
            raise SourceError(
                f"{error.message} (it was fetched in pieces)", hint="pull again: it is now fetched in one piece"
            ) from error
        raise
    return digests


def _check_announced(name: str, found: Digests, obtained: _Obtained) -> None:
    announced = obtained.fetched.announced_sha256 if obtained.fetched else None
    if announced is not None and announced != found.sha256:
        raise SourceError(
            f"{name} arrived damaged: the Hub says sha256 {announced}, and {found.sha256} came",
            hint="pull again",
        )


def _pin(chosen: Chosen, name: str, placed: Placed, lock: Lock) -> None:
    """Also of what was pulled before this lock file was in force."""
    if lock.pin(entry(chosen, name)) is None:
        today = datetime.now(UTC).date().isoformat()
        lock.add(entry(chosen, name), Pin(placed.digests.sha256, placed.digests.size, placed.source, today))


# -- put in place ------------------------------------------------------------------------------------------------------


def _install(chosen: Chosen, name: str, obtained: _Obtained, digests: Digests, lock: Lock, show: Show) -> None:
    folder, file, part = folder_of(chosen), chosen.edition.files[name], obtained.part
    commit = obtained.fetched.revision if obtained.fetched else None
    source = f"{obtained.source} (commit {commit})" if commit and commit not in obtained.source else obtained.source
    placed = Placed(digests, source, part.stat().st_mtime_ns)
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
        unpacked = Placed(digests, source, 0, Unpacked(roots, files, size))
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
    """What is not the pinned file, or no longer, is kept under a hidden name."""
    placed = read_stamp(folder).files[name]
    roots = placed.unpacked.roots if placed.unpacked else (name,)
    for root in roots:
        place = folder / root
        if place.exists():
            kept = place.with_name(f".{place.name}.changed-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            place.rename(kept)
            show.note(f"what was at {place} is kept as {kept.name}")
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
