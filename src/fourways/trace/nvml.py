"""A device's handle in NVIDIA's management library (core/nvml.py), or why there is none."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from fourways.core.errors import Undefined
from fourways.core.nvml import load

if TYPE_CHECKING:
    import torch

__all__ = ["handle", "load"]


def handle(nvml: ModuleType, device: torch.device | str) -> Any:
    """NVML's handle of a CUDA device, by its UUID: NVML does not know CUDA_VISIBLE_DEVICES. Raises Undefined."""
    import torch  # takes seconds, and only a CUDA device is asked after

    uuid = str(torch.cuda.get_device_properties(device).uuid)
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
    except nvml.NVMLError as error:
        raise Undefined(f"NVML: {error}") from None
