"""Registers a folder: at once with its hashes pending, so that the name is taken; then every file is hashed.

A hashing that was stopped leaves an entry that is `pending`; to add the same folder under the same name again goes on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fourways.core.errors import CheckpointError, UserError
from fourways.core.manifest import Manifest, identity_of
from fourways.hub.discover import origin_of
from fourways.hub.hashing import Progress, hash_files
from fourways.hub.manifest import Cards, fill, make
from fourways.hub.registry.adapters import CONFIG as ADAPTER_CONFIG
from fourways.hub.registry.adapters import base_sha256, look_at_adapter
from fourways.hub.registry.condition import condition_of, stamp_of, this_host
from fourways.hub.registry.entry import Adapter, Entry, check_name
from fourways.hub.registry.store import NameTaken, Registry


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be registered. source, revision: where the folder itself does not tell. base: the registered model
    that an adapter was trained on, where its own words do not tell. cards: of families of other packages."""

    name: str
    folder: Path
    source: str | None = None
    revision: str | None = None
    base: str | None = None
    cards: Cards | None = None


def enrol(registry: Registry, request: Request, at: Progress | None = None) -> Entry:
    """The entry, hashed. Raises CheckpointError for a folder that is neither a model nor an adapter or is damaged,
    NameTaken, UnknownName for a base, FourwaysError as `hash_files` does."""
    check_name(request.name)
    drawn = draw_up(registry, request)
    try:
        registry.add(drawn)
    except NameTaken:
        drawn = _unfinished(registry, drawn)
    return finish(registry, drawn, at)


def draw_up(registry: Registry, request: Request) -> Entry:
    """The entry as it would be registered, its hashes pending."""
    folder = request.folder.expanduser().resolve()
    if not folder.is_dir():
        raise CheckpointError(f"{request.folder} is not a folder", hint="name the folder that holds the model's files")
    _check_words(folder)
    is_adapter = (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file()
    if request.base is not None and not is_adapter:
        raise UserError(f"--base: {folder} is a model, not an adapter", hint="leave --base out")
    found = look_at_adapter(folder) if is_adapter else make(folder, request.cards)
    adapter, manifest = (found, None) if isinstance(found, Adapter) else (None, found)
    base = None if adapter is None else _base(registry, adapter, folder, request.base)
    origin = origin_of(folder)
    return Entry(
        name=request.name,
        kind="adapter" if is_adapter else "model",
        folder=str(folder),
        host=this_host(),
        added=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        source=request.source or origin.source or (manifest.source if manifest else None),
        revision=request.revision or origin.revision or (manifest.revision if manifest else None),
        manifest=manifest,
        adapter=adapter,
        base=base.name if base else None,
        base_identity=base.identity if base else None,
        stamps={file.name: stamp_of(folder / file.name) for file in found.files},
    )


def finish(registry: Registry, entry: Entry, at: Progress | None = None) -> Entry:
    """Hashes what was registered, and registers the digests. Raises as `hash_files` does."""
    done = _hashed_adapter(entry, at) if entry.manifest is None else _hashed_model(entry, entry.manifest, at)
    registry.complete(done)
    return done


def _unfinished(registry: Registry, drawn: Entry) -> Entry:
    """What was drawn up now in place of the entry of this name, if that is of this folder and was not finished. Raises
    NameTaken."""
    kept = registry.get(drawn.name)
    if (kept.folder, kept.host) != (drawn.folder, drawn.host):
        raise NameTaken(
            f"{drawn.name} is registered already, as {kept.folder}",
            hint=f"choose another name, or forget that one: fourways models remove {drawn.name}",
        )
    found = condition_of(kept)
    if found.state == "pending":
        return msgspec.structs.replace(drawn, added=kept.added, base=kept.base, base_identity=kept.base_identity)
    if found.state == "changed":
        raise NameTaken(
            f"{drawn.name} is this folder as it was on {kept.added}; it changed since: {found.why}",
            hint=f"to accept it as it is: fourways models remove {drawn.name}, then add it again",
        )
    raise NameTaken(
        f"{drawn.name} is registered already, as this very folder", hint=f"fourways models show {drawn.name}"
    )


def _base(registry: Registry, adapter: Adapter, folder: Path, asked: str | None) -> Entry | None:
    """The registered model that was asked for, or the only one that it can be: by the digests that the adapter's folder
    holds, else by its own words. Raises UserError if the one that was asked for is known not to be it."""
    digests = base_sha256(folder)
    if asked is not None:
        base = registry.get(asked)
        if base.kind != "model":
            raise UserError(f"--base: {asked} is an adapter, not a model")
        if digests and base.identity is not None and _digests_of(base) != digests:
            raise UserError(
                f"--base: {folder} was not trained on {asked}: the digests in its manifest.json are others",
                hint="name the model that it was trained on, or leave --base out",
            )
        return base
    models = [one for one in registry.entries() if one.kind == "model"]
    if digests:
        meant = [one for one in models if _digests_of(one) == digests]
        return _only(meant, adapter) or _only(_worded(meant, adapter), adapter)
    return _only(_worded(models, adapter), adapter)


def _worded(models: list[Entry], adapter: Adapter) -> list[Entry]:
    """Those that adapter_config.json can mean by the name of its base."""
    if adapter.base is None:
        return []
    meant = {adapter.base}
    with suppress(OSError, RuntimeError, ValueError):  # no path of this machine, such as ~somebody/model
        meant.add(str(Path(adapter.base).expanduser().resolve()))
    return [one for one in models if meant & {one.name, one.source, one.folder}]


def _only(models: list[Entry], adapter: Adapter) -> Entry | None:
    """The one there is, or the one at the adapter's revision; two are not chosen between."""
    pinned = [one for one in models if adapter.base_revision is not None and one.revision == adapter.base_revision]
    found = pinned or models
    return found[0] if len(found) == 1 else None


def _digests_of(entry: Entry) -> dict[str, str | None]:
    return {file.name: file.sha256 for file in entry.files}


def _hashed_model(entry: Entry, manifest: Manifest, at: Progress | None) -> Entry:
    """What the manifest beside the weights tells of these very bytes comes with it: fourways.hub.manifest.filled."""
    filled = fill(manifest, Path(entry.folder), at)
    return msgspec.structs.replace(
        entry,
        manifest=filled,
        identity=filled.identity,
        source=entry.source or filled.source,
        revision=entry.revision or filled.revision,
    )


def _hashed_adapter(entry: Entry, at: Progress | None) -> Entry:
    folder = Path(entry.folder)
    digests = hash_files([folder / file.name for file in entry.files], at)
    files = tuple(msgspec.structs.replace(file, sha256=digests[folder / file.name]) for file in entry.files)
    adapter = None if entry.adapter is None else msgspec.structs.replace(entry.adapter, files=files)
    return msgspec.structs.replace(entry, adapter=adapter, identity=identity_of(files))


def _check_words(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{folder!s} cannot be registered: its name is not UTF-8", hint="rename the folder") from error
