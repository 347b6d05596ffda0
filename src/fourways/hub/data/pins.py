"""Whether a file is the pinned one: by the catalogue's published digests, and by the lock file's of the first pull."""

from __future__ import annotations

from fourways.hub.data.catalogue import Chosen
from fourways.hub.data.digests import Digests
from fourways.hub.data.errors import DataChanged
from fourways.hub.data.lock import Lock, Pin


def check_pins(chosen: Chosen, name: str, found: Digests, lock: Lock, source: str) -> None:
    """Raises DataChanged, naming both digests and what to do. source: where what was found came from."""
    file, pin = chosen.edition.files[name], lock.pin(entry(chosen, name))
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
    if file.size is not None and file.size != found.size:
        raise DataChanged(
            f"{name} is not the file that was published: the catalogue says {file.size:,} bytes, and {found.size:,} "
            f"(sha256 {found.sha256}) came from {source}",
            hint=_way_out(chosen, name, "the catalogue", lock),
        )


def agreed_pin(chosen: Chosen, name: str, lock: Lock) -> Pin | None:
    """The lock's pin. Raises DataChanged if lock file and catalogue contradict each other: nothing could satisfy
    both."""
    pin, pinned = lock.pin(entry(chosen, name)), chosen.edition.files[name].sha256
    if pin is not None and pinned is not None and pin.sha256 != pinned:
        raise DataChanged(
            f"{name}: {lock.path} pins sha256 {pin.sha256}, and the catalogue sha256 {pinned}",
            hint=f"delete the entry {entry(chosen, name)} from {lock.path} if the catalogue is right",
        )
    return pin


def entry(chosen: Chosen, name: str) -> str:
    """A file's name in the lock file."""
    return f"{chosen}/{name}"


def _way_out(chosen: Chosen, name: str, where: str, lock: Lock) -> str:
    others = "try another --source, or bring the right file: --from PATH"
    if where != str(lock.path):
        return f"{others}; scores on another file compare with no published one, so it is not used"
    return f"{others}; if the change is meant, delete the entry {entry(chosen, name)} from {lock.path} and pull again"
