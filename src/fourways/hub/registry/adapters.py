"""Looks at a LoRA adapter as PEFT saves it, without loading it: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from fourways.core.errors import CheckpointError
from fourways.core.manifest import ManifestFile
from fourways.hub.registry.entry import Adapter
from fourways.hub.weights import read_header

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_TOLD, _TOLD_SCHEMA = "manifest.json", "fourways.adapter/v1"
_AGAIN = "save it again with PEFT, or copy it again"


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
        peft_type=_text(config, "peft_type") or "LORA",
        base=_text(config, "base_model_name_or_path"),
        base_revision=_text(config, "revision"),
        rank=_whole(config.get("r")),
        alpha=_number(config.get("lora_alpha")),
        target_modules=_targets(config.get("target_modules")),
        files=tuple(ManifestFile(file.name, file.stat().st_size) for file in sorted((folder / CONFIG, weights))),
    )


def base_sha256(folder: Path) -> dict[str, str]:
    """File name → digest of the model that the adapter was trained on, where Fourways trained and saved it:
    manifest.json tells. Empty where nothing says so."""
    try:
        told = msgspec.json.decode((folder / _TOLD).read_bytes(), type=_Told)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return told.base_sha256 if told.schema == _TOLD_SCHEMA else {}


class _Told(msgspec.Struct):
    """What counts here of `fourways.tuning.folder.AdapterManifest`."""

    schema: str
    base_sha256: dict[str, str]


def _config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise CheckpointError(f"{file.parent} has no {CONFIG}", hint="name the folder that PEFT saved")
    try:
        config = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not JSON: {error}", hint=_AGAIN) from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} is not a JSON object", hint=_AGAIN)
    return config


def _text(config: dict[str, Any], field: str) -> str | None:
    value = config.get(field)
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _targets(value: object) -> str | tuple[str, ...] | None:
    """A regular expression, or names; PEFT saves a set, in no order."""
    if isinstance(value, list):
        return tuple(sorted(one for one in value if isinstance(one, str)))
    return value if isinstance(value, str) else None
