"""Whether a candidate fits its device: from the shapes of its tensors and what is free now. Loads no weights."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.errors import OutOfMemory, UserError
from fourways.hub import parameter_count

_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1.0, "int4": 0.5}
_BESIDE_WEIGHTS = 1.15
"""Weights are not all: activations of a single request and the allocator's rounding, at the least."""


def count_parameters(checkpoint: Checkpoint) -> int:
    """From the headers of the weights, or, for random weights, from the shapes that the configuration gives."""
    return _shaped(checkpoint.folder) if checkpoint.random_weights else parameter_count(checkpoint.folder)


def needed_bytes(candidate: Candidate, parameters: int) -> int:
    """The least memory in which the candidate can be loaded and asked one thing."""
    return int(parameters * _BYTES[candidate.quantization or candidate.dtype] * _BESIDE_WEIGHTS)


def available_bytes(device: str) -> int:
    """Free memory of `cpu` or `cuda[:N]` now. Raises UserError if there is no such device."""
    if device == "cpu":
        return int(psutil.virtual_memory().available)
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
    needed = needed_bytes(candidate, count_parameters(checkpoint))
    free = available_bytes(candidate.device)
    if needed > free:
        raise OutOfMemory(
            f"out of memory: it needs about {needed / 2**30:.1f} GiB, "
            f"and {candidate.device} has {free / 2**30:.1f} GiB free",
            hint="a smaller dtype, or a larger device",
        )


def _shaped(folder: Path) -> int:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    return sum(parameter.numel() for parameter in model.parameters())
