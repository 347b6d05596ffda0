"""NVIDIA's management library, through `nvidia-ml-py` (extra `gpu`): a device's handle, or why there is none."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fourways.core.errors import Undefined

if TYPE_CHECKING:
    import torch


def load() -> ModuleType:
    """The started library. Raises Undefined if its Python package or NVIDIA's driver is not there."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise Undefined("nvidia-ml-py is not installed (pip install 'fourways[gpu]')") from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise Undefined(f"NVML: {error}") from None
    return nvml


def handle(nvml: ModuleType, device: torch.device | str) -> Any:
    """NVML's handle of a CUDA device, by its UUID: NVML does not know CUDA_VISIBLE_DEVICES. Raises Undefined."""
    import torch  # takes seconds, and only a CUDA device is asked after

    uuid = str(torch.cuda.get_device_properties(device).uuid)
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
    except nvml.NVMLError as error:
        raise Undefined(f"NVML: {error}") from None
