"""What the registry keeps of a model or an adapter."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from fourways.core.errors import UserError
from fourways.core.manifest import Manifest, ManifestFile

Kind = Literal["model", "adapter"]
NAME_LENGTH = 100
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_LENGTH - 1}}}")


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """What the file system said of a file when it was registered: a file whose size or time differs is looked at
    again."""

    bytes: int
    mtime_ns: int


class Adapter(msgspec.Struct, frozen=True):
    """What PEFT's adapter_config.json says of an adapter. base: the model it was trained on, as it is named there.
    target_modules: a regular expression or names. files: of which the adapter's identity is made."""

    peft_type: str
    base: str | None
    base_revision: str | None
    rank: int | None
    alpha: float | None
    target_modules: str | tuple[str, ...] | None
    files: tuple[ManifestFile, ...]


class Entry(msgspec.Struct, frozen=True):
    """A registered model or adapter.

    folder: absolute, on the machine `host`. source, revision: where it was downloaded from, and the commit. identity:
    `core.manifest.identity_of` its files, None while they were not all hashed. added: UTC, ISO 8601. manifest: of a
    model. adapter: of an adapter; its base is the registered model `base`, None if that is not registered (any more),
    and base_identity is what that model was when the adapter was registered. stamps: by file name.
    """

    name: str
    kind: Kind
    folder: str
    host: str
    added: str
    source: str | None = None
    revision: str | None = None
    identity: str | None = None
    manifest: Manifest | None = None
    adapter: Adapter | None = None
    base: str | None = None
    base_identity: str | None = None
    stamps: dict[str, Stamp] = {}

    @property
    def files(self) -> tuple[ManifestFile, ...]:
        if self.manifest is not None:
            return self.manifest.files
        return self.adapter.files if self.adapter is not None else ()


def check_name(name: str) -> str:
    """The name, if it may be one. Raises UserError: a name must never be taken for a path, an option or a Hub id."""
    if _NAME.fullmatch(name) is None:
        raise UserError(
            f"{name[:NAME_LENGTH]!r} cannot be a name",
            hint=f"letters, digits, '.', '_' and '-', beginning with a letter or digit; at most {NAME_LENGTH}",
        )
    return name


def name_from(text: str) -> str:
    """The nearest permitted name to the last part of a repository or folder: `org/Qwen 2` → `Qwen-2`."""
    last = text.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-")[:NAME_LENGTH] or "model"
