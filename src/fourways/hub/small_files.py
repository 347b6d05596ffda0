"""The small JSON files beside the weights, as others wrote them: of any content, and of any kind of file."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError

_MOST_BYTES = 1 << 28
_MOST_WORDS = 4096
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_AGAIN = "copy or download the file again"


def read_object(file: Path, fault: str | None = None) -> dict[str, Any]:
    """A JSON object, as Python reads and writes them (with NaN and numbers of any length). Raises FileNotFoundError if
    there is no such file, CheckpointError of this fault if it is not one."""
    if file.stat().st_size > _MOST_BYTES or not file.is_file():  # to read a pipe would never end
        raise CheckpointError(f"{file} is no file of at most {_MOST_BYTES >> 20} MiB", hint=_AGAIN, fault=fault)
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not a JSON object: {error}", hint=_AGAIN, fault=fault) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} is not a JSON object", hint=_AGAIN, fault=fault)
    return found


def words(value: object) -> str | None:
    """A text that can be shown and kept: not empty, no control characters, valid in UTF-8; else None."""
    return value if isinstance(value, str) and len(value) <= _MOST_WORDS and _PLAIN.fullmatch(value) else None


def whole(value: object) -> int | None:
    """A whole number of 64 bits, else None."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) <= value < 2**63 else None


def number(value: object) -> float | None:
    """A finite number, else None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    found = whole(value)
    return None if found is None else float(found)
