"""fourways.model.json: written whole, and checked when it is read, because others may have written it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from fourways.core.errors import CheckpointError
from fourways.core.manifest import MANIFEST_FILE, MANIFEST_SCHEMA, Manifest, ManifestFile, identity_of
from fourways.core.run_files import write_whole
from fourways.hub.small_files import words

_MOST_BYTES = 1 << 24
_SHA256 = re.compile(r"[0-9a-f]{64}")
_AGAIN = "make it again: fourways models manifest"


def write_manifest(manifest: Manifest, place: Path) -> Path:
    """place: a file, or the folder that it is to lie in as fourways.model.json. Returns the file. Raises FourwaysError
    if it cannot be written; an older one is then still whole."""
    file = place / MANIFEST_FILE if place.is_dir() else place
    write_whole(file, manifest_json(manifest))
    return file


def manifest_json(manifest: Manifest) -> bytes:
    """As it stands in the file."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def read_manifest(place: Path) -> Manifest:
    """place: the file, or the folder that it lies in. It tells what somebody wrote, not what the files hold now.

    Raises CheckpointError if it is not there, is of another schema, names a file outside its folder, or does not agree
    with itself.
    """
    file = place / MANIFEST_FILE if place.is_dir() else place
    try:
        if file.stat().st_size > _MOST_BYTES or not file.is_file():
            raise CheckpointError(f"{file} is no manifest: it is no file of at most 16 MiB", hint=_AGAIN)
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file}: there is no manifest", hint=_AGAIN) from error
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{file} is no manifest: {error}", hint=_AGAIN) from error
    if wrong := _wrong(manifest):
        raise CheckpointError(f"{file} is no valid manifest: {wrong}", hint=_AGAIN)
    return manifest


def is_safe_name(name: str) -> bool:
    """Whether it names a file inside the folder, on any system: relative, with slashes, and no way up or out."""
    parts = name.split("/")
    plain = not re.search(r"[\\:\x00-\x1f\x7f\ud800-\udfff]", name) and len(name) <= 1000
    return plain and all(part not in ("", ".", "..") for part in parts)


def _wrong(manifest: Manifest) -> str | None:
    """The first thing that cannot be."""
    if manifest.schema != MANIFEST_SCHEMA:
        return f"its schema is {manifest.schema[:40]!r}, not {MANIFEST_SCHEMA}"
    names = [file.name for file in manifest.files]
    if strange := next((name for name in names if not is_safe_name(name)), None):
        return f"{strange[:100]!r} is no name of a file inside the folder"
    if len(set(names)) != len(names):
        return "it names a file twice"
    if wrong := next((told for file in manifest.files if (told := _wrong_file(file))), None):
        return wrong
    if manifest.identity != identity_of(manifest.files):
        return "its identity is not that of the digests it lists"
    if (manifest.hashes == "complete") != (manifest.identity is not None):
        return f"its hashes are {manifest.hashes}, and its digests say otherwise"
    said = (manifest.name, manifest.architecture_class, manifest.licence, manifest.source, manifest.revision)
    if any(one is not None and words(one) is None for one in said):
        return "it says something that is empty, endless or holds control characters"
    counted = [manifest.shards, manifest.tensors, manifest.parameters]
    counted += [number for part in manifest.parts.values() for number in (part.tensors, part.parameters, part.bytes)]
    return "a count is below 0" if min(counted) < 0 else None


def _wrong_file(file: ManifestFile) -> str | None:
    if file.bytes < 0:
        return f"{file.name} has {file.bytes} bytes"
    if file.sha256 is not None and _SHA256.fullmatch(file.sha256) is None:
        return f"the digest of {file.name} is no SHA-256 in hex"
    return None
