"""The machine and the versions, as they stand in run.json. Reads; never sets anything."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from fourways.core.run import Environment

_PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "huggingface_hub", "numpy", "scipy",
    "pillow", "av", "pyarrow", "httpx", "msgspec", "torchao",
)  # fmt: skip
_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG",
)  # fmt: skip


def environment() -> Environment:
    """Hardware and versions. accelerators: name, memory and compute capability of each visible CUDA device."""
    return Environment(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cores_machine=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=platform.system(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: found for name in _PACKAGES if (found := _version(name)) is not None},
        accelerators=tuple(_accelerators()),
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
    )


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _accelerators() -> list[str]:
    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append(f"{card.name}, {card.total_memory / 2**30:.1f} GiB, sm_{card.major}{card.minor}")
    return found
