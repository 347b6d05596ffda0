"""What a person is told when a model or its device fails."""

from __future__ import annotations

import torch

from fourways.core.errors import EngineError, FourwaysError, OutOfMemory


def explain(error: Exception) -> FourwaysError:
    """What a person is told of an exception: ours as they are, others by their type and first line."""
    if isinstance(error, FourwaysError):
        return error
    line = (str(error).strip().splitlines() or [""])[0][:300]
    if _is_out_of_memory(error, line):
        return OutOfMemory(
            f"out of memory: {line}", hint="set a smaller visual budget, shorter replies or a smaller batch"
        )
    return EngineError(f"the model failed: {type(error).__name__}: {line}")


def _is_out_of_memory(error: Exception, line: str) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("allocate memory" in line or "not enough memory" in line)
