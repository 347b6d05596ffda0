"""What ends an answer, as everything that a checkpoint brings says it."""

from __future__ import annotations

from pathlib import Path

from fourways.hub.convert.files import read_optional
from fourways.hub.convert.tokenizer import Read


def end_ids(folder: Path, read: Read, *tokens: str) -> list[int]:
    """Token ids, sorted: `tokens`, the tokenizer's own end, and those of generation_config.json and config.json.
    Raises CheckpointError if a token is none."""
    found = {read.id_of(token) for token in tokens}
    if end := read.named.get("eos_token"):
        found.add(read.id_of(end))
    for name in ("generation_config.json", "config.json"):
        ids = read_optional(folder, name).get("eos_token_id")
        found |= {int(one) for one in (ids if isinstance(ids, list) else [ids]) if isinstance(one, int)}
    return sorted(found)
