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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from fourways.core.errors import UserError
from fourways.hub.data.bring import bring, take
from fourways.hub.data.catalogue import Chosen, File, Unzip
from fourways.hub.data.digests import Digests, digest_file
from fourways.hub.data.disk import check_room, disk_errors
from fourways.hub.data.errors import DataChanged, SourceError
from fourways.hub.data.fetch import Errand, Fetched, drop, fetch
from fourways.hub.data.lock import Lock, Pin
from fourways.hub.data.pins import agreed_pin, check_pins, entry
from fourways.hub.data.plausible import check_plausible
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


@dataclass(frozen=True, slots=True)
class _Task:
    """One file of an edition, and how it is pulled."""

    chosen: Chosen
    name: str
    wish: Wish
    lock: Lock
    show: Show

    @property
    def folder(self) -> Path:
        return folder_of(self.chosen)

    @property
    def file(self) -> File:
        return self.chosen.edition.files[self.name]

    @property
    def entry(self) -> str:
        return entry(self.chosen, self.name)


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
        lacking = [name for name in chosen.edition.files if not _pull_file(_Task(chosen, name, wish, lock, show))]
    if lacking:
        raise UserError(
            f"{wish.brought} holds no {', '.join(lacking)}",
            hint="bring them under these names, or pull again without --from to fetch them; what is already unpacked "
            f"needs no pull: --suite {chosen.key}=PATH",
        )
    return place_of(chosen)


def _pull_file(task: _Task) -> bool:
    """False if what was brought does not hold the file."""
    pin, look = agreed_pin(task.chosen, task.name, task.lock), look_at(task.chosen, task.name)
    if look.state == "here" and _is_pinned_one(task):
        _pin(task, read_stamp(task.folder).files[task.name])
    else:
        check_room(task.folder, (task.file.bytes_about or 0) - look.fetched)
        obtained = _obtain(task)
        if obtained is None:
            return False
        digests = _verify(task, obtained)
        if pin is None and task.file.sha256 is None:
            task.show.note(f"{task.name}: nobody published its SHA-256; pinned now in {task.lock.path}")
        if look.state in ("here", "changed"):
            _set_aside(task)
        _install(task, obtained, digests)
    for part in parts_of(task.folder, task.name):
        drop(part)
    return True


def _is_pinned_one(task: _Task) -> bool:
    """Of what is here: pins may have come later, with a lock file or a newer catalogue."""
    placed = read_stamp(task.folder).files[task.name]
    try:
        check_pins(task.chosen, task.name, placed.digests, task.lock, str(task.folder / task.name))
    except DataChanged as error:
        task.show.note(f"{error.message}; fetching the pinned one")
        return False
    return True


# -- obtain ------------------------------------------------------------------------------------------------------------


def _obtain(task: _Task) -> _Obtained | None:
    wish, name, file = task.wish, task.name, task.file
    linked = task.folder / f".{name}{_BROUGHT}"
    if wish.brought is not None:
        task.show.begin(name, file.bytes_about)
        brought = bring(wish.brought, task.chosen, name, linked, task.show.at)
        return _Obtained(linked, "--from") if brought else None
    if name in wish.urls:
        return _fetch(task, own_origin(wish.urls[name], file, name))
    if wish.source in (None, "huggingface") and (cached := hub_cache(file)) is not None:
        task.show.begin(name, file.bytes_about)
        take(cached, linked, task.show.at)
        return _Obtained(linked, "the Hub's own cache")
    return _fetch_from_any(task)


def _fetch_from_any(task: _Task) -> _Obtained:
    """Each source in turn. With one asked for: that one, and why it failed."""
    name, asked = task.name, task.wish.source
    addresses = origins(task.file, asked)
    if asked is not None and addresses[0].source != asked:
        task.show.note(f"{name} is not on {asked}; taking it from: {addresses[0].source}")
    for origin, following in zip(addresses, [*addresses[1:], None], strict=True):
        try:
            return _fetch(task, origin)
        except SourceError as error:
            if following is None:
                raise
            task.show.note(f"{error.message}; trying: {following.source}")
    raise SourceError(f"{name} has no source")


def _fetch(task: _Task, origin: Origin) -> _Obtained:
    about, part = task.file.bytes_about, part_of(task.folder, task.name, origin.source)
    at_most = None if about is None else 2 * about + _SLACK
    return _Obtained(part, origin.shown, fetch(Errand(origin, task.name, part, at_most, task.show)))


# -- verify ------------------------------------------------------------------------------------------------------------


def _verify(task: _Task, obtained: _Obtained) -> Digests:
    """The digests of the whole, once they are the pinned ones. A wrong part is deleted: to go on with it is useless."""
    task.show.begin(f"checking {task.name}", obtained.part.stat().st_size)
    digests = digest_file(obtained.part, task.show.at)
    try:
        check_pins(task.chosen, task.name, digests, task.lock, obtained.source)
        if task.file.sha256 is None and task.file.md5 is None and task.lock.pin(task.entry) is None:
            check_plausible(task.file, task.name, obtained.part, obtained.source)
        _check_announced(task.name, digests, obtained)
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


def _pin(task: _Task, placed: Placed) -> None:
    """Also of what was pulled before this lock file was in force."""
    if task.lock.pin(task.entry) is None:
        today = datetime.now(UTC).date().isoformat()
        task.lock.add(task.entry, Pin(placed.digests.sha256, placed.digests.size, placed.source, today))


# -- put in place ------------------------------------------------------------------------------------------------------


def _install(task: _Task, obtained: _Obtained, digests: Digests) -> None:
    part = obtained.part
    commit = obtained.fetched.revision if obtained.fetched else None
    source = f"{obtained.source} (commit {commit})" if commit and commit not in obtained.source else obtained.source
    placed = Placed(digests, source, part.stat().st_mtime_ns)
    _pin(task, placed)
    if task.file.unzip is None:
        _sync(part)
        write_stamp(task.folder, task.name, placed)
        part.replace(task.folder / task.name)
    else:
        _install_archive(task, part, placed, task.file.unzip)
    drop(part)


def _install_archive(task: _Task, part: Path, archive: Placed, rule: Unzip) -> None:
    folder = task.folder
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as beside:
        unpack(part, task.name, Path(beside), rule, task.show)
        tops = tuple(sorted(entry.name for entry in Path(beside).iterdir()))
        roots = tuple((Path(rule.into) / top).as_posix() for top in tops)
        files, size = count_files(Path(beside), tops)
        (folder / rule.into).mkdir(parents=True, exist_ok=True)
        unpacked = Placed(archive.digests, archive.source, 0, Unpacked(roots, files, size))
        write_stamp(folder, task.name, unpacked)
        for top, root in zip(tops, roots, strict=True):
            _make_way(folder / root)
            (Path(beside) / top).replace(folder / root)


def _make_way(place: Path) -> None:
    """For what is put there now: a leaving of a pull that was killed is in the way."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _set_aside(task: _Task) -> None:
    """What is not the pinned file, or no longer, is kept under a hidden name."""
    placed = read_stamp(task.folder).files[task.name]
    roots = placed.unpacked.roots if placed.unpacked else (task.name,)
    for root in roots:
        place = task.folder / root
        if place.exists():
            kept = place.with_name(f".{place.name}.changed-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
            place.rename(kept)
            task.show.note(f"what was at {place} is kept as {kept.name}")
    write_stamp(task.folder, task.name, None)


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
        _leave_nothing_empty(folder, Path(lock.lock_file))
        lock.release()


def _leave_nothing_empty(folder: Path, lock: Path) -> None:
    """After a pull that brought nothing."""
    if any(folder.iterdir()):
        return
    with suppress(OSError):  # another edition lies beside it
        folder.rmdir()
        lock.unlink()
        folder.parent.rmdir()
