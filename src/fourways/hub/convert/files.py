"""The small JSON files of a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError
from fourways.hub.small_files import read_object


def read_optional(folder: Path, name: str) -> dict[str, Any]:
    """{} if it is not there. Raises CheckpointError if it is no JSON object, or too large for one."""
    file = folder / name
    return read_object(file) if file.is_file() else {}


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Raises CheckpointError for what JSON has no form for: NaN, infinities, halves of characters."""
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        file.write_bytes(text.encode())
    except ValueError as error:
        raise CheckpointError(
            f"{file.name} cannot be written, since the checkpoint's own files hold a value that is none: {error}",
            hint="use the files that the model was published with",
        ) from error


def section(config: Mapping[str, Any], name: str, where: Path) -> dict[str, Any]:
    """An object inside config.json. Raises CheckpointError."""
    found = config.get(name)
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{where / 'config.json'} has no {name}", hint="use the config.json of the published model"
        )
    return found


def layer_of(config: Mapping[str, Any], name: str, default: int, layers: int) -> int:
    """Which of a tower's hidden states are its features: of 0 (what the first layer sees) to `layers`, or counted from
    the end. Raises CheckpointError."""
    found = config.get(name, default)
    if not isinstance(found, int) or not -layers - 1 <= found <= layers:
        raise CheckpointError(f"config.json: {name} is {found!r}, of a tower of {layers} layers")
    return found


def number(settings: Mapping[str, Any], name: str, where: str) -> int:
    """A positive whole number of config.json. Raises CheckpointError."""
    found = settings.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise CheckpointError(f"config.json: {where}{name} is {found!r}, expected a positive whole number")
    return found
