"""From what a person names to what is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fourways import zoo
from fourways.compare.opening import check_asked, embedded
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.manifest import Manifest
from fourways.hub import locate
from fourways.hub.download import fetch
from fourways.hub.manifest import read_manifest
from fourways.hub.registry import Entry, Registry, check_name, in_force


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A checkpoint to be checked. candidate: how it is run; its model is a folder. adapters: folders to try on it."""

    candidate: Candidate
    folder: Path
    manifest: Manifest | None = None  # of the registry, or the one that ships with an embedded model
    adapters: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """A server to be checked. adapters: names that it serves them under."""

    candidate: Candidate
    adapters: tuple[str, ...] = ()


Target = LocalTarget | ServerTarget


def find_target(candidate: Candidate, adapters: Sequence[str]) -> Target:
    """Raises UserError or CheckpointError where the name leads nowhere; what lies in the folder is not looked at.

    A registered name leads to its folder whatever became of it since, and brings the adapters that were registered for
    it. Fetches a Hugging Face id that is not here.
    """
    named = adapters if candidate.adapter is None else (*adapters, candidate.adapter)
    if candidate.model is None:
        check_asked(candidate)
        return ServerTarget(msgspec.structs.replace(candidate, adapter=None), tuple(named))
    folders = tuple(Path(one).expanduser() for one in named)
    check_asked(msgspec.structs.replace(candidate, adapter=None))
    if absent := [folder for folder in folders if not folder.is_dir()]:
        raise UserError(f"{absent[0]} is no folder", hint="--adapter names a folder that PEFT saved")
    if (entry := _registered(candidate.model)) is not None:
        theirs = (Path(one.folder) for one in registered() if one.kind == "adapter" and one.base == entry.name)
        return LocalTarget(candidate, Path(entry.folder), entry.manifest, (*folders, *theirs))
    found = locate(candidate.model, embedded=embedded())
    folder = found.folder if found.folder is not None else fetch(candidate.model)
    return LocalTarget(candidate, folder, _shipped(folder), folders)


def _shipped(folder: Path) -> Manifest | None:
    """Of an embedded model: what it was when Fourways was packed."""
    name = next((name for name, place in embedded().items() if place == folder), None)
    return None if name is None else read_manifest(zoo.manifest_file(name))


def registered() -> list[Entry]:
    """All that is registered; nothing where there is no registry."""
    place = in_force()
    if not place.is_there():
        return []
    with Registry(place) as registry:
        return registry.entries()


def all_names() -> list[str]:
    """The embedded models and all that are registered."""
    return [*(f"zoo:{name}" for name in embedded()), *(one.name for one in registered() if one.kind == "model")]


def _registered(name: str) -> Entry | None:
    """As `hub.locate` would find it, but for its being as it was: that is to be found out. Raises UserError for the
    name of an adapter."""
    if Path(name).expanduser().is_dir() or name in embedded():
        return None
    try:
        check_name(name)
    except UserError:  # a path, a Hub id, zoo:NAME
        return None
    entry = next((one for one in registered() if one.name == name), None)
    if entry is not None and entry.kind == "adapter":
        raise UserError(
            f"{name} is a registered adapter, not a model",
            hint=f"name its base: fourways models check {entry.base or 'BASE'} --adapter {entry.folder}",
        )
    return entry
