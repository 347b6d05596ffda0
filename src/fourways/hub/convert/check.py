"""Whether a written folder is what transformers' class expects: every tensor, its shape, and the ids of its tokens.

Nothing is computed: the model is built without storage, and files are opened by their headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError, FourwaysError
from fourways.hub.convert.files import read_optional
from fourways.hub.weights import read_headers

_LAYERS = re.compile(r"(num_)?(\w+_)?layers|depth")
_NEEDED = ("missing_keys", "mismatched_keys")
_ALL = (*_NEEDED, "unexpected_keys")


def check_written(folder: Path, image_token: str | None) -> None:
    """Raises FourwaysError that names what does not fit. image_token: None where tensors kept their names and the
    tokenizer was copied; what transformers leaves aside there, such as old buffers, it left aside before."""
    _check_layers(read_optional(folder, "config.json"), sum(map(len, read_headers(folder).values())))
    if image_token is None:
        _check_tensors(folder, _NEEDED)
        return
    _check_tensors(folder, _ALL)
    _check_tokens(folder, image_token)


def _check_layers(config: Mapping[str, Any], tensors: int) -> None:
    """Every layer has a tensor: a model of more layers would take hours to build, even without storage."""
    if beyond := [f"{name} {count}" for name, count in _layers(config) if count > tensors]:
        raise CheckpointError(
            f"config.json: {', '.join(beyond)}, and the weights are {tensors} tensors",
            hint="config.json and the weights must come from the same checkpoint",
        )


def _layers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _layers(value)
        elif isinstance(value, int) and _LAYERS.fullmatch(name):
            yield name, value


def _check_tensors(folder: Path, kinds: Sequence[str]) -> None:
    import transformers
    from transformers.utils import logging

    config = read_optional(folder, "config.json")
    name = str(config["architectures"][0])
    model_class: Any = getattr(transformers, name, None)
    if model_class is None:
        raise CheckpointError(f"transformers {transformers.__version__} has no {name}")
    switch: Any = logging
    shown, level = switch.is_progress_bar_enabled(), switch.get_verbosity()
    switch.disable_progress_bar()
    switch.set_verbosity_error()
    try:
        _, info = model_class.from_pretrained(
            folder, device_map={"": "meta"}, local_files_only=True, trust_remote_code=False, use_safetensors=True,
            ignore_mismatched_sizes=True, output_loading_info=True,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise FourwaysError(f"the converted checkpoint cannot be opened as {name}: {error}") from error
    finally:
        switch.set_verbosity(level)
        if shown:
            switch.enable_progress_bar()
    for what in kinds:
        if found := sorted(map(str, info[what])):
            raise CheckpointError(
                f"converted, {name} has {len(found)} {what.replace('_keys', '')} tensor(s): {', '.join(found[:8])}",
                hint="config.json and the weights must come from the same checkpoint",
            )


def _check_tokens(folder: Path, image_token: str) -> None:
    from tokenizers import Tokenizer

    config = read_optional(folder, "config.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = int(config["text_config"]["vocab_size"])
    image = config.get("image_token_id", config.get("image_token_index"))
    if tokenizer.token_to_id(image_token) != image:
        raise FourwaysError(f"config.json gives {image_token} the id {image}, the tokenizer another")
    beyond = sorted(text for text, index in tokenizer.get_vocab(with_added_tokens=True).items() if index >= rows)
    if beyond:
        raise CheckpointError(
            f"the tokenizer has {len(beyond)} token(s) beyond the {rows} rows of the embedding, such as {beyond[0]}",
            hint="tokenizer and config.json must come from the same checkpoint",
        )
    ends = read_optional(folder, "generation_config.json")["eos_token_id"]
    if lost := [index for index in ends if not 0 <= index < rows or tokenizer.id_to_token(index) is None]:
        raise CheckpointError(f"answers end with the token ids {lost}, which the tokenizer does not have")
