"""Looks at a LoRA adapter as PEFT saves it, without loading it: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from fourways.core.errors import CheckpointError
from fourways.core.manifest import ManifestFile
from fourways.hub.registry.entry import Adapter
from fourways.hub.small_files import number, read_object, whole, words
from fourways.hub.weights import read_header

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_TOLD, _TOLD_SCHEMA = "manifest.json", "fourways.adapter/v1"


def look_at_adapter(folder: Path) -> Adapter:
    """What its files say, their hashes pending. Raises CheckpointError with what is wrong and what to do."""
    config = _config(folder / CONFIG)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(
            f"{folder} has no {WEIGHTS}",
            hint="Fourways reads no pickled weights, because they can run code: save the adapter again with PEFT",
        )
    read_header(weights)
    return Adapter(
        peft_type=words(config.get("peft_type")) or "LORA",
        base=words(config.get("base_model_name_or_path")),
        base_revision=words(config.get("revision")),
        rank=whole(config.get("r")),
        alpha=number(config.get("lora_alpha")),
        target_modules=_targets(config.get("target_modules")),
        files=tuple(ManifestFile(file.name, file.stat().st_size) for file in sorted((folder / CONFIG, weights))),
    )


def base_sha256(folder: Path) -> dict[str, str]:
    """File name → digest of the model that the adapter was trained on, where Fourways trained and saved it:
    manifest.json tells. Empty where nothing says so."""
    try:
        told = msgspec.json.decode((folder / _TOLD).read_bytes(), type=_Told)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return told.base_sha256 if told.schema == _TOLD_SCHEMA else {}


class _Told(msgspec.Struct):
    """What counts here of `fourways.tuning.folder.AdapterManifest`."""

    schema: str
    base_sha256: dict[str, str]


def _config(file: Path) -> dict[str, Any]:
    try:
        return read_object(file)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file.parent} has no {CONFIG}", hint="name the folder that PEFT saved") from error


def _targets(value: object) -> str | tuple[str, ...] | None:
    """A regular expression, or names; PEFT saves a set, in no order."""
    if isinstance(value, list):
        return tuple(sorted(one for one in map(words, value) if one is not None))
    return words(value)
