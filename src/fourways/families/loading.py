"""Weights into a transformers model: safetensors only, no code from a checkpoint, whole or not at all.

A checkpoint is checked before it is used: a missing shard, a damaged file or a tensor that the architecture expects and
the files lack gives one CheckpointError, never a half-random model. Random weights are drawn in place on the device.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch._subclasses.fake_tensor import is_fake
from transformers import AutoTokenizer, GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor
from transformers.initialization import no_init_weights
from transformers.utils import logging as hf_logging

from fourways.core.candidate import Checkpoint, Dtype
from fourways.core.errors import CheckpointError
from fourways.families.contract import ModelSpec
from fourways.families.quantization import check_quantization, quantize_language
from fourways.families.stand_in import stand_in_tokenizer

TORCH_DTYPES: dict[Dtype, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
M = TypeVar("M", bound=PreTrainedModel)
P = TypeVar("P", bound=BaseImageProcessor)
RANDOM_SEED = 0
KEY_VERSION = "1"
"""Part of every unit key; raised when the same key would mean other features."""


def load_model(
    model_class: type[M],
    checkpoint: Checkpoint,
    *,
    dtype: Dtype,
    device: str,
    quantization: str | None,
    language: str,
) -> M:
    """transformers' model on `device`, ready for inference. language: a regular expression over module names, which
    names the layers that `quantization` touches. Raises CheckpointError or CapabilityError."""
    if quantization is not None:
        check_quantization(quantization, dtype)
    # Quantised where there is room for the whole weights, so that the device needs room for the small ones only.
    place = torch.device(device if quantization is None else "cpu")
    if checkpoint.random_weights:
        model = random_model(model_class, checkpoint, TORCH_DTYPES[dtype], place)
    else:
        check_weights(checkpoint.folder)
        model = _read(model_class, checkpoint.folder, TORCH_DTYPES[dtype], place)
    model.train(False)
    if quantization is not None:
        quantize_language(model, language)
        nn.Module.to(model, torch.device(device))
    return model


def check_weights(folder: Path) -> None:
    """Open every safetensors file that the checkpoint names. Raises CheckpointError."""
    for file in weight_files(folder):
        try:
            with safe_open(str(file), framework="pt") as opened:
                opened.keys()
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{file.name} is missing in {folder}",
                hint="the download is incomplete; fetch the checkpoint again",
                fault="weights.missing-shard",
            ) from error
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{file.name} in {folder} is damaged: {error}",
                hint="fetch that file again and compare its SHA-256",
                fault="weights.damaged",
            ) from error


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, by its index if it has one."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise CheckpointError(f"{index.name} in {folder} is not a weight index", hint="fetch that file again")
        names = sorted({str(name) for name in weight_map.values()})
        for name in names:
            if name != Path(name).name:
                raise CheckpointError(
                    f"{index.name} in {folder} points outside the folder: {name}", hint="do not use this checkpoint"
                )
        return [folder / name for name in names]
    if single.is_file():
        return [single]
    pickled = any(any(folder.glob(pattern)) for pattern in ("*.bin", "*.pt", "*.pth"))
    reason = "only pickled weights, which can run code when they are read" if pickled else "no weights"
    raise CheckpointError(
        f"{folder} holds {reason}",
        hint="use a checkpoint with model.safetensors, or --weights random for latency and memory alone",
    )


def _read(model_class: type[M], folder: Path, dtype: torch.dtype, device: torch.device) -> M:
    read: Any = model_class.from_pretrained
    try:
        with _no_progress_bar():
            model, info = read(
                folder,
                dtype=dtype,
                device_map={"": device},
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # so that they are told below, by name
                output_loading_info=True,
            )
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} cannot be read as {model_class.__name__}: {_first_line(error)}",
            hint="config.json and the weights must come from the same published checkpoint",
        ) from error
    if unlike := sorted(info["mismatched_keys"]):
        name, stored, expected = unlike[0]
        raise CheckpointError(
            f"{len(unlike)} tensor(s) of {folder} have other shapes than config.json says; "
            f"the first is {name}: {tuple(stored)} stored, {tuple(expected)} expected",
            hint="config.json and the weights must come from the same published checkpoint",
            fault="weights.shape",
        )
    lost = sorted(info["missing_keys"])
    if lost:
        raise CheckpointError(
            f"{folder} lacks {len(lost)} tensor(s) of {model_class.__name__}, the first is {lost[0]}",
            hint="the checkpoint is incomplete or of another layout; use the Hugging Face (-hf) layout",
            fault="weights.missing-tensor",
        )
    loaded: M = model
    return loaded


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """transformers draws one on standard error; the caller has its own."""
    switch: Any = hf_logging
    shown = switch.is_progress_bar_enabled()
    switch.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            switch.enable_progress_bar()


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line}" if isinstance(error, KeyError) or not line else line


# -- random weights --------------------------------------------------------------------------------------------------
def random_model(model_class: type[M], checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> M:
    """A model of the config's full shape with seeded weights: right in size and speed, meaningless in its answers."""
    config = read_config(model_class, checkpoint)
    try:
        build: Any = model_class._from_config
        with no_init_weights(), device:
            model: M = build(config, dtype=dtype, attn_implementation="sdpa")
    except torch.OutOfMemoryError as error:
        raise CheckpointError(
            f"{device} has no room for the weights of {checkpoint.folder.name} in {dtype}",
            hint="choose a smaller model, a smaller dtype or another device",
        ) from error
    except (ValueError, TypeError, RuntimeError, KeyError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"config.json in {checkpoint.folder} describes no {model_class.__name__}: {_first_line(error)}",
            hint="use the config.json that the model was published with",
        ) from error
    model.tie_weights()
    if (checkpoint.folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    draw_weights(model, RANDOM_SEED)
    return model


@torch.no_grad()
def draw_weights(model: nn.Module, seed: int) -> None:
    """Fill every parameter in place: matrices from N(0, 0.02), norms' scales 1, biases 0. Never NaN.

    Matrices are cut from one drawn block, each from a place of its own, since drawing billions of numbers takes
    minutes. The block's length is prime, so no two rows of a matrix are equal.
    """
    first = next(model.parameters())
    if is_fake(first):  # a model of shapes alone has no weights to draw
        return
    generator = torch.Generator(first.device).manual_seed(seed)
    block = torch.empty(_BLOCK, device=first.device).normal_(0.0, 0.02, generator=generator).to(first.dtype)
    place = 0
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1 and name.rpartition(".")[0].endswith(_NORMS):
            parameter.fill_(1.0)
        else:
            place = (place + _STRIDE) % _BLOCK
            _fill_with(parameter.view(-1), block, place)


_BLOCK = 4_194_301
_STRIDE = 1_000_003
_NORMS = ("norm", "norm1", "norm2", "layer_norm", "layernorm", "ln_q", "layrnorm", "layer_norm1", "layer_norm2")


def _fill_with(flat: torch.Tensor, block: torch.Tensor, place: int) -> None:
    """Write the block again and again, beginning at `place`."""
    written = 0
    while written < flat.numel():
        part = block[place : place + flat.numel() - written]
        flat[written : written + part.numel()].copy_(part)
        written += part.numel()
        place = 0


# -- what stands beside the weights ----------------------------------------------------------------------------------
def read_json(file: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint. Raises CheckpointError."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file.name} in {file.parent} cannot be read: {error}", hint="fetch that file again"
        ) from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{file.name} in {file.parent} is not a JSON object", hint="fetch that file again")
    return settings


def read_config(model_class: type[PreTrainedModel], checkpoint: Checkpoint) -> PretrainedConfig:
    """The model's configuration. Raises CheckpointError."""
    config_class = model_class.config_class
    assert config_class is not None
    try:
        return config_class.from_dict(checkpoint.config)
    except Exception as error:  # validators raise types of their own, from several libraries
        raise CheckpointError(
            f"config.json in {checkpoint.folder} is not a {config_class.__name__}: {_first_line(error)}",
            hint="use the config.json that the model was published with",
            fault="config.invalid",
        ) from error


def read_tokenizer(checkpoint: Checkpoint, config: PretrainedConfig) -> PreTrainedTokenizerBase:
    """The checkpoint's fast tokenizer, or a stand-in where random weights come without one. Raises CheckpointError."""
    folder = checkpoint.folder
    if checkpoint.random_weights and not (folder / "tokenizer.json").is_file():
        return stand_in_tokenizer(checkpoint, int(config.get_text_config().vocab_size))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises plain Exception for a bad file
        raise CheckpointError(
            f"the tokenizer in {folder} cannot be read: {_first_line(error)}",
            hint="the folder needs tokenizer.json and tokenizer_config.json",
            fault="tokenizer.damaged",
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.is_fast:
        raise CheckpointError(
            f"the tokenizer in {folder} has no tokenizer.json",
            hint="save it once with transformers' fast tokenizer",
            fault="tokenizer.missing",
        )
    return tokenizer


def read_image_processor(processor_class: type[P], folder: Path) -> P:
    """The checkpoint's image preprocessing, run by Pillow. Raises CheckpointError."""
    try:
        return processor_class.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"the image processor's settings in {folder} cannot be read: {_first_line(error)}",
            hint="the folder needs preprocessor_config.json (or processor_config.json)",
            fault="preprocessor.invalid",
        ) from error


def pixel_size(processor: BaseImageProcessor, *names: str) -> tuple[int, ...]:
    """These entries of the image processor's `size`. Raises CheckpointError."""
    size: Any = getattr(processor, "size", None) or {}
    entries = dict(size)
    found = [value for name in names if isinstance(value := entries.get(name), int) and value > 0]
    if len(found) < len(names):
        raise CheckpointError(
            f"the image processor's size is {entries}, expected positive {' and '.join(names)}",
            hint="use the preprocessor_config.json that the model was published with",
            fault="preprocessor.invalid",
        )
    return tuple(found)


def require_token(tokenizer: PreTrainedTokenizerBase, token_id: int, what: str) -> str:
    """The token of an id that config.json names. Raises CheckpointError if the tokenizer has none."""
    token = tokenizer.convert_ids_to_tokens(token_id)
    if token is None or str(token) not in {str(t) for t in tokenizer.added_tokens_decoder.values()}:
        raise CheckpointError(
            f"config.json names {token_id} as {what}, but the tokenizer has no such control token",
            hint="tokenizer and config.json must come from the same checkpoint",
            fault="image-token.wrong",
        )
    return str(token)


def model_spec(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, position_rows: int) -> ModelSpec:
    """The shapes of the language model, and what ends its answers (generation_config.json, else the tokenizer).

    A sliding window bounds the context: within it, full and windowed attention are the same. So does the length beyond
    which `longrope` turns to other frequencies: for every sequence of a batch, and not for keys that are cached.
    """
    text: Any = model.config.get_text_config()
    heads = int(text.num_attention_heads)
    ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        raise CheckpointError(
            "neither generation_config.json nor the tokenizer names an end-of-sequence token", fault="ending.missing"
        )
    window = getattr(text, "sliding_window", None) or text.max_position_embeddings
    rope = getattr(text, "rope_parameters", None) or {}
    even = rope.get("original_max_position_embeddings") if rope.get("rope_type") == "longrope" else None
    return ModelSpec(
        layers=int(text.num_hidden_layers),
        kv_heads=int(getattr(text, "num_key_value_heads", None) or heads),
        head_dim=int(getattr(text, "head_dim", None) or text.hidden_size // heads),
        hidden=int(text.hidden_size),
        vocab_size=int(text.vocab_size),
        context=min(int(text.max_position_embeddings), int(window), int(even or text.max_position_embeddings)),
        eos_token_ids=tuple(ends) if isinstance(ends, list | tuple) else (int(ends),),
        position_rows=position_rows,
        dtype=model.dtype,
        device=model.device,
    )


def encoder_identity(checkpoint: Checkpoint, dtype: Dtype, preprocessing: BaseImageProcessor) -> str:
    """What unit keys rest on beside the unit itself: weights, dtype and preprocessing."""
    weights = sorted(checkpoint.sha256.items()) or [("folder", str(checkpoint.folder.resolve()))]
    random = f"random-{RANDOM_SEED}" if checkpoint.random_weights else "trained"
    parts = [KEY_VERSION, checkpoint.architecture, weights, random, dtype, preprocessing.to_dict()]
    return digest(json.dumps(parts, sort_keys=True, default=str))


def digest(*parts: object) -> str:
    """A short name for these parts: 128 bits of SHA-256."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]
