"""The machine, its settings and the versions, as they stand in run.json. Reads; never sets anything.

The one exception is `pinning`, which `fourways env pin` calls: it sets what it was asked for and puts it back.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from fourways.core.run import Environment
from fourways.evidence.environment.catalogue import readings
from fourways.evidence.environment.lock import package_lock
from fourways.evidence.environment.machine import Machine, Unread

_PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "huggingface_hub", "numpy", "scipy",
    "pillow", "av", "pyarrow", "httpx", "msgspec", "torchao",
)  # fmt: skip
_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG",
    "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME", "PYTORCH_ALLOC_CONF",
    "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING",
    "LD_PRELOAD", "MALLOC_CONF", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "THP_MEM_ALLOC_ENABLE", "PYTHONMALLOC",
)  # fmt: skip
"""Those that change speed or memory without a word."""


def environment() -> Environment:
    """Hardware, settings and versions. accelerators: name, memory and compute capability of each visible CUDA
    device."""
    return Environment(
        cpu=cpu_model(Machine()),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cores_machine=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=platform.system(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: found for name in _PACKAGES if (found := _version(name)) is not None},
        accelerators=tuple(_accelerators()),
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        readings=readings(),
        lock=package_lock(),
    )


def cpu_model(machine: Machine) -> str:
    """As /proc/cpuinfo names it; on ARM, where it does not, the board's name or the maker's numbers."""
    try:
        told = machine.fields("proc/cpuinfo")
    except Unread:
        return platform.processor() or platform.machine()
    board = machine.text_or("sys/firmware/devicetree/base/model", "").strip("\0 ")
    numbers = " ".join(f"{name} {told[name]}" for name in ("CPU implementer", "CPU part") if name in told)
    return told.get("model name") or board or numbers or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")
"""What a driver leaves on Linux: NVIDIA's for cards and for Jetson, AMD's, and Windows' own for its Linux guests."""


def _accelerators() -> list[str]:
    if sys.platform == "linux" and not any(Path(driver).exists() for driver in _DRIVERS):
        return []
    import torch  # takes seconds, and is needed only where there may be a card

    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append(f"{card.name}, {card.total_memory / 2**30:.1f} GiB, sm_{card.major}{card.minor}")
    return found
