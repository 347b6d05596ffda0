"""What a checkpoint is, from its files alone: architecture, sizes, limits, needs, origin, and the digest of every file.

Must never: load a checkpoint, import torch or transformers, or believe a digest that a JSON file claims.

Public face: `make` (at once, hashes pending), `fill` (hashes), `filled` (with digests that are known) (make.py);
`read_manifest`, `write_manifest`, `manifest_json`, `is_safe_name` (file.py); `KNOWN`, `Known`, `classify`
(architectures.py); `part_of` (topology.py); `table` (table.py).
"""

from fourways.hub.manifest.architectures import KNOWN, Known, classify
from fourways.hub.manifest.file import is_safe_name, manifest_json, read_manifest, write_manifest
from fourways.hub.manifest.make import Cards, fill, filled, make
from fourways.hub.manifest.table import table
from fourways.hub.manifest.topology import part_of

__all__ = [
    "KNOWN", "Cards", "Known", "classify", "fill", "filled", "is_safe_name", "make", "manifest_json", "part_of",
    "read_manifest", "table", "write_manifest",
]  # fmt: skip
