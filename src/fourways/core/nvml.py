"""NVIDIA's management library, through `nvidia-ml-py` (extra `gpu`), or why there is none. trace reads a device's
counters with it, evidence its settings; neither sees the other."""

from __future__ import annotations

import importlib
from types import ModuleType

from fourways.core.errors import Undefined


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
