"""The fastest that this machine copies memory and multiplies matrices: the two limits of a roofline.

Source: Williams, Waterman & Patterson (2009), Roofline, CACM 52(4), section 3. Copying counts bytes read and written,
as STREAM does (McCalpin 1995).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch

Quantity = Literal["copy_bytes_per_s", "matmul_flops_per_s"]
TRIALS = 8
_SECONDS = 0.02
"""A trial repeats its operation for so long at least."""
_LARGE = {"cpu": 128 << 20, "cuda": 1 << 30}
"""Bytes of an array that few caches hold with its copy; a larger one tells nothing more, and beside a large model there
is no room for it."""
_SIDES = {"cpu": (512, 1024), "cuda": (4096, 8192)}


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One trial. size: bytes of the array that was copied, or rows of the square matrices. value: per second."""

    quantity: Quantity
    trial: int
    size: int
    value: float


def measure(device: torch.device, dtype: torch.dtype, working_bytes: int) -> Iterator[Ceiling]:
    """Trials on the calling thread, with torch's present thread count. working_bytes: what the model reads in a pass;
    an array of that size is copied too, since a cache that holds a small model is faster than memory is."""
    beyond = _LARGE.get(device.type, _LARGE["cpu"])
    sizes = sorted({min(max(1 << 20, working_bytes // 2), beyond), beyond})
    sides = _SIDES.get(device.type, _SIDES["cpu"])
    with torch.inference_mode():
        for trial in range(TRIALS):
            for size in sizes:
                yield Ceiling("copy_bytes_per_s", trial, size, _copy(device, size))
            for side in sides:
                yield Ceiling("matmul_flops_per_s", trial, side, _multiply(device, dtype, side))


def _copy(device: torch.device, size: int) -> float:
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size * _rate(lambda: target.copy_(source), device)


def _multiply(device: torch.device, dtype: torch.dtype, side: int) -> float:
    left = torch.full((side, side), 0.5, dtype=dtype, device=device)
    out = torch.empty_like(left)
    return 2 * side**3 * _rate(lambda: torch.mm(left, left, out=out), device)


def _rate(operation: Callable[[], object], device: torch.device) -> float:
    """Operations a second, after one that is not counted."""
    operation()
    _wait(device)
    count, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < _SECONDS:
        operation()
        _wait(device)
        count += 1
    return count / took if count else 0.0


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
