"""A registered name, looked up on the way to a checkpoint. Where there is no registry, nothing is imported for it."""

from __future__ import annotations

from pathlib import Path

from fourways.core.errors import CheckpointError, UserError
from fourways.hub.hashing import hash_files
from fourways.hub.registry.condition import check_same, check_usable
from fourways.hub.registry.entry import Entry, check_name
from fourways.hub.registry.place import in_force


def registered_model(name: str) -> Entry | None:
    """The model of this name, None if none is. Raises CheckpointError for an adapter's name, or a model that is not
    there or not what was registered; FourwaysError if the registry cannot be read."""
    entry = _find(name)
    if entry is None:
        return None
    if entry.kind == "adapter":
        raise CheckpointError(
            f"{name} is a registered adapter, not a model",
            hint=f"name its base, and under `adapter:` of a candidate file {name}",
        )
    check_usable(entry)
    return entry


def registered_adapter(name: str) -> Entry | None:
    """The adapter of this name, None if none is; its files were read, and are what was registered. Raises as
    `registered_model` does, and OSError for a file that cannot be read."""
    entry = _find(name)
    if entry is None:
        return None
    if entry.kind == "model":
        raise CheckpointError(f"{name} is a registered model, not an adapter", hint="name it under `model:`")
    check_usable(entry)
    found = hash_files([Path(entry.folder) / file.name for file in entry.files])
    check_same(entry, {file.name: digest for file, digest in found.items()})
    return entry


def registered_names() -> list[str]:
    """Of models, for a word that was mistyped."""
    if not in_force().is_there():
        return []
    from fourways.hub.registry.store import Registry

    with Registry(in_force()) as registry:
        return [entry.name for entry in registry.entries() if entry.kind == "model"]


def _find(name: str) -> Entry | None:
    try:
        check_name(name)
    except UserError:  # a path, a Hub id
        return None
    if not in_force().is_there():
        return None
    from fourways.hub.registry.store import Registry, UnknownName

    with Registry(in_force()) as registry:
        try:
            return registry.get(name)
        except UnknownName:
            return None
