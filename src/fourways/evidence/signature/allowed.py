"""The allow-list: whose signatures count. Public keys in a file, or in the files of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fourways.core.errors import UserError
from fourways.evidence.signature.armor import blocks
from fourways.evidence.signature.packets import PUBLIC_KEY, SECRET_KEY, SECRET_SUBKEY, tags

LARGEST = 4 << 20
"""Bytes of a file of keys: some thousands of them."""
_PUBLIC = "PGP PUBLIC KEY BLOCK"
_EXPORT = "export it with: gpg --armor --export FINGERPRINT > allowed.asc"


@dataclass(frozen=True, slots=True)
class Allowed:
    """certificates: public keys with their user ids and self-signatures, binary, as many as the files held. place:
    where they were read."""

    place: Path
    certificates: bytes


def read_allowed(place: Path) -> Allowed:
    """The keys of a file, armored or binary, or of all files of a folder but hidden ones. Raises UserError naming the
    file if one holds no key, or a private one."""
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
    else:
        files = [place]
    if not files:
        raise UserError(f"{place} holds no file of keys", hint=_EXPORT)
    return Allowed(place, b"".join(_keys(path) for path in files))


def _keys(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}", hint=_EXPORT) from error
    if len(content) > LARGEST:
        raise UserError(f"{path} is no allow-list: it is larger than {LARGEST >> 20} MiB")
    try:
        keys = content if content[:1] >= b"\x80" else _dearmored(path, content)
        found = set(tags(keys))
    except ValueError as error:
        raise UserError(f"{path} holds no public key that can be read: {error}", hint=_EXPORT) from error
    if found & {SECRET_KEY, SECRET_SUBKEY}:
        raise _private(path)
    if PUBLIC_KEY not in found:
        raise UserError(f"{path} holds no public key", hint=_EXPORT)
    return keys


def _dearmored(path: Path, text: bytes) -> bytes:
    found = blocks(text)
    if any("PRIVATE" in kind for kind, _ in found):
        raise _private(path)
    return b"".join(data for kind, data in found if kind == _PUBLIC)


def _private(path: Path) -> UserError:
    return UserError(f"{path} holds a private key, and an allow-list is public", hint=f"remove it; {_EXPORT}")
