"""The manifest beside the weights: at once with its hashes pending, then with them.

One that is there already stays until the new one is complete: of the same bytes, it knows what only its maker could.
"""

from __future__ import annotations

import msgspec

from fourways.core.manifest import MANIFEST_FILE, Manifest
from fourways.hub.convert.run import Converted
from fourways.hub.hashing import Progress
from fourways.hub.manifest import Cards, fill, make, write_manifest


def describe(converted: Converted, cards: Cards | None = None, at: Progress | None = None) -> Manifest:
    """Writes fourways.model.json into the checkpoint's folder. cards: as `make` takes them. Raises CheckpointError for
    a checkpoint that cannot be described, FourwaysError where the file cannot be written."""
    made = make(converted.folder, cards)
    if converted.conversion is not None:
        made = msgspec.structs.replace(made, converted=converted.conversion)
    if not (converted.folder / MANIFEST_FILE).is_file():
        write_manifest(made, converted.folder)
    filled = fill(made, converted.folder, at)
    write_manifest(filled, converted.folder)
    return filled
