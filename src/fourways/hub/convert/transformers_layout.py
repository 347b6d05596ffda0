"""A checkpoint that is in transformers' layout, with its weights in pickled files: the same tensors as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fourways.hub.convert.plan import Piece, Stored
from fourways.hub.convert.recipe import Options, Recipe, papers
from fourways.hub.convert.sources import open_shards

CONVERTER = "pickles@1"
_SMALL = (".json", ".jinja", ".txt", ".model")


def recipe(folder: Path, config: Mapping[str, Any], options: Options) -> Recipe:
    """Raises CheckpointError for missing or damaged files, and for pickled ones where they may not be read."""
    shards = [(shard, _same) for shard in open_shards(folder, read_pickles=options.read_pickles)]
    small = [file for file in sorted(folder.iterdir()) if file.is_file() and file.suffix in _SMALL]
    copied = {file.name: file for file in (*papers(folder), *small) if not file.name.endswith(".bin.index.json")}
    return Recipe(CONVERTER, "transformers", shards, {}, tuple(copied.values()))


def _same(name: str, stored: Stored) -> tuple[Piece, ...]:
    return (Piece(name),)
