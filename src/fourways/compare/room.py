"""Whether a candidate fits its device: from the shapes of its tensors and what is free now. Loads no weights.

What runs models is imported where it is needed: it takes seconds, and who only asks a server needs none of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.errors import OutOfMemory, UserError
from fourways.hub import parameter_count

if TYPE_CHECKING:
    from torch import nn

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_BESIDE_WEIGHTS = 1.15
"""Weights are not all: activations of a single request and the allocator's rounding, at the least."""


def count_parameters(checkpoint: Checkpoint) -> int:
    """From the headers of the weights, or, for random weights, from the shapes that the configuration gives."""
    if not checkpoint.random_weights:
        return parameter_count(checkpoint.folder)
    return sum(parameter.numel() for parameter in _shapes(checkpoint.folder).parameters())


def count_int8(candidate: Candidate, checkpoint: Checkpoint) -> int:
    """How many parameters come to the candidate's device as int8. None do on the CPU: there they are read whole first,
    and that moment needs the most."""
    if candidate.quantization != "int8" or candidate.device == "cpu":
        return 0
    from fourways.families.quantization import is_quantised
    from fourways.families.registry import find_family

    language = re.compile(find_family(checkpoint.architecture).card.lora_targets["llm"])
    layers = _shapes(checkpoint.folder).named_modules()
    return sum(layer.weight.numel() for name, layer in layers if is_quantised(name, layer, language))


def needed_bytes(candidate: Candidate, parameters: int, int8: int = 0) -> int:
    """The least memory in which the candidate can be loaded and asked one thing. int8: how many of its parameters are
    stored so; where that is not known, 0 asks for more than is needed."""
    return int(((parameters - int8) * _BYTES[candidate.dtype] + int8) * _BESIDE_WEIGHTS)


def available_bytes(device: str) -> int:
    """Free memory of `cpu` or `cuda[:N]` now. Raises UserError if there is no such device."""
    if device == "cpu":
        return int(psutil.virtual_memory().available)
    import torch

    try:
        index = torch.device(device)
        if index.type != "cuda":
            raise UserError(f"device {device!r} is not supported", hint="use cpu, cuda or cuda:N")
        free, _total = torch.cuda.mem_get_info(index)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"there is no device {device!r} here", hint="use --device cpu, or install PyTorch for your accelerator"
        ) from error
    return int(free)


def check_room(candidate: Candidate, checkpoint: Checkpoint) -> None:
    """Raises OutOfMemory before a load that the system would answer by killing the whole run."""
    needed = needed_bytes(candidate, count_parameters(checkpoint), count_int8(candidate, checkpoint))
    free = available_bytes(candidate.device)
    if needed > free:
        raise OutOfMemory(
            f"out of memory: it needs about {needed / 2**30:.1f} GiB, "
            f"and {candidate.device} has {free / 2**30:.1f} GiB free",
            hint="a smaller dtype, or a larger device",
        )


def _shapes(folder: Path) -> nn.Module:
    """The model with shapes and no weights."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    with torch.device("meta"):
        model: nn.Module = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    return model
