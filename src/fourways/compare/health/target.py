"""From what a person names to what is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fourways.compare.health.local import LocalTarget
from fourways.compare.opening import check_asked, embedded
from fourways.core.candidate import Candidate
from fourways.core.errors import CheckpointError, UserError
from fourways.core.manifest import MANIFEST_FILE, MANIFEST_SCHEMA, Manifest
from fourways.hub import locate
from fourways.hub.download import fetch

_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """A server to be checked. adapters: names that it serves them under."""

    candidate: Candidate
    adapters: tuple[str, ...] = ()


Target = LocalTarget | ServerTarget


def find_target(candidate: Candidate, adapters: Sequence[str]) -> Target:
    """Raises UserError or CheckpointError where the name leads nowhere; what lies in the folder is not looked at.
    Fetches a Hugging Face id that is not here."""
    named = adapters if candidate.adapter is None else (*adapters, candidate.adapter)
    if candidate.model is None:
        check_asked(candidate)
        return ServerTarget(candidate, tuple(named))
    folders = tuple(Path(one).expanduser() for one in named)
    check_asked(msgspec.structs.replace(candidate, adapter=None))
    if absent := [folder for folder in folders if not folder.is_dir()]:
        raise UserError(f"{absent[0]} is no folder", hint="--adapter names a folder that PEFT saved")
    found = locate(candidate.model, embedded=embedded())
    folder = found.folder if found.folder is not None else fetch(candidate.model)
    return LocalTarget(candidate, folder, manifest_beside(folder), folders)


def manifest_beside(folder: Path) -> Manifest | None:
    """The manifest in a checkpoint's folder; None if there is none. Raises CheckpointError for one that cannot be
    read."""
    file = folder / MANIFEST_FILE
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{file.stat().st_size:,} bytes are no manifest")
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file} is no manifest: {error}", hint="write it anew: `fourways models convert`"
        ) from error
    if manifest.schema != MANIFEST_SCHEMA:
        raise CheckpointError(f"{file} is of {manifest.schema!r}, and this is {MANIFEST_SCHEMA}")
    return manifest
