"""What a CUDA device gives to this process, as the driver counts it: the allocator's share, the context, libraries."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

import torch

from fourways.core.errors import Undefined
from fourways.trace import nvml


class RunningProcess(Protocol):
    """As NVML lists it; usedGpuMemory None: the driver does not say (MIG, some containers, Windows)."""

    pid: int
    usedGpuMemory: int | None  # noqa: N815  # NVML's own name


def own_bytes(processes: Iterable[RunningProcess], pid: int) -> int:
    """Bytes of process `pid` among those of a device. Raises Undefined if it is not there or has no size."""
    own = [process for process in processes if process.pid == pid]
    if not own:
        raise Undefined("NVML does not list this process (it sees other process numbers from inside a container)")
    if own[0].usedGpuMemory is None:
        raise Undefined("NVML gives no memory per process here (MIG, or the driver's mode)")
    return own[0].usedGpuMemory


def process_bytes(device: torch.device) -> int:
    """Bytes of `device` that this process holds now. Raises Undefined with the reason where nobody can say."""
    library = nvml.load()
    try:
        listed = library.nvmlDeviceGetComputeRunningProcesses(nvml.handle(library, device))
    except library.NVMLError as error:
        raise Undefined(f"NVML: {error}") from None
    return own_bytes(listed, os.getpid())
