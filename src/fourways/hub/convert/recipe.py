"""What a layout's rules hand to the conversion: where tensors go, and every small file of the new folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from fourways.core.errors import CheckpointError
from fourways.hub.convert.files import write_json
from fourways.hub.convert.plan import Piece, Rule, Stored
from fourways.hub.convert.sources import Shard


@dataclass(frozen=True, slots=True)
class Options:
    """read_pickles: take .bin files where there are no safetensors. vision_tower: a CLIP checkpoint, for a LLaVA
    checkpoint that holds none of its own."""

    read_pickles: bool = False
    vision_tower: Path | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """converter: name@version of the rules. settings: file name → JSON. copied: files that go with it unchanged.
    tokenizer, template: None where they are among those. image_token: what stands for a row of visual features."""

    converter: str
    layout: str
    shards: Sequence[tuple[Shard, Rule]]
    settings: dict[str, dict[str, Any]]
    copied: Sequence[Path] = ()
    tokenizer: Tokenizer | None = None
    template: str | None = None
    image_token: str | None = None

    def write_small_files(self, folder: Path) -> None:
        for name, content in self.settings.items():
            write_json(folder / name, content)
        if self.tokenizer is not None:
            (folder / "tokenizer.json").write_text(self.tokenizer.to_str(), encoding="utf-8")
        if self.template is not None:
            (folder / "chat_template.jinja").write_text(self.template, encoding="utf-8")
        for file in self.copied:
            (folder / file.name).write_bytes(file.read_bytes())


def papers(folder: Path) -> list[Path]:
    """The licence and the model card, which go with the weights."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and (file.name == "README.md" or file.stem.upper() in ("LICENSE", "LICENCE", "NOTICE"))
    )


def add_token(tokenizer: Tokenizer, text: str) -> int:
    """The id of a control token, new unless it is there."""
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True)])
    found = tokenizer.token_to_id(text)
    assert found is not None
    return int(found)


def widened(name: str, stored: Stored, given: int, rows: int, like: int) -> Piece:
    """Rows of an embedding or output layer up to `rows`, each new one a copy of row `like`. A new token's score is then
    exactly that token's, which stands before it: what the original would not have said is not said now. given: the rows
    by config.json. Raises CheckpointError where they are others."""
    if stored.rows != given:
        raise CheckpointError(
            f"{name} has {stored.rows} rows, the vocab_size of config.json is {given}",
            hint="config.json and the weights must come from the same checkpoint",
        )
    missing = rows - stored.rows
    return Piece(name, ((0, stored.rows), *[(like, like + 1)] * missing) if missing > 0 else None)
