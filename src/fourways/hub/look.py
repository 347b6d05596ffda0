"""Looks at a checkpoint folder without loading it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fourways.core.candidate import Checkpoint
from fourways.core.errors import CheckpointError
from fourways.core.manifest import MANIFEST_FILE
from fourways.hub.hashing import hash_files
from fourways.hub.small_files import read_object, words
from fourways.hub.weights import weight_files

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_SMALL = (".json", ".jinja", ".txt", ".model")


def look(folder: Path) -> Checkpoint:
    """A folder with weights. Raises CheckpointError with the first thing that is wrong, and what to do."""
    config = read_config(folder)
    weights = weight_files(folder)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise CheckpointError(
            f"{folder} has no tokenizer ({' or '.join(_TOKENIZERS)})",
            hint="copy the tokenizer files of the original model",
            fault="tokenizer.missing",
        )
    return Checkpoint(folder, architecture(folder, config), config, _digests(folder, weights))


def look_at_config(folder: Path) -> Checkpoint:
    """A folder of which only the configuration counts: its weights will be drawn at random."""
    config = read_config(folder)
    return Checkpoint(folder, architecture(folder, config), config, _digests(folder, ()), random_weights=True)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json. Raises CheckpointError if the folder or the file is not there, or it is not an object."""
    file = folder / "config.json"
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder", hint="name a checkpoint folder, a Hugging Face id, or zoo:NAME"
        )
    if (folder / "adapter_config.json").is_file() and not file.is_file():
        raise CheckpointError(
            f"{folder} is a LoRA adapter, not a model", hint="name it under `adapter:` of a candidate file"
        )
    if not file.is_file():
        raise CheckpointError(
            f"{folder} has no config.json", hint="name the folder that holds the model's files", fault="config.missing"
        )
    return read_object(file, "config.invalid")


def architecture(folder: Path, config: dict[str, Any]) -> str:
    """The class that config.json names first."""
    named = config.get("architectures")
    if isinstance(named, list) and named and (first := words(named[0])) is not None:
        return first
    raise CheckpointError(
        f"{folder / 'config.json'} names no architecture",
        hint='it should hold "architectures": ["…ForConditionalGeneration"]',
        fault="config.invalid",
    )


def checkpoint_files(folder: Path, weights: Iterable[Path]) -> tuple[Path, ...]:
    """What a checkpoint is made of, by name: these weights, and what stands at the top of its folder for the tokenizer,
    the preprocessing and the configurations. The manifest tells of the files and is none of them."""
    small = (file for file in folder.iterdir() if file.suffix in _SMALL and file.is_file())
    return tuple(sorted(file for file in {*small, *weights} if file.name != MANIFEST_FILE))


def _digests(folder: Path, weights: tuple[Path, ...]) -> dict[str, str]:
    return {file.name: digest for file, digest in hash_files(checkpoint_files(folder, weights)).items()}
