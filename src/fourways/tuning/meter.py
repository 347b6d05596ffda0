"""The peak of memory while training, without slowing the steps that are timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fourways.trace.live_tensors import LiveTensors

STEPS_UNTIL_STEADY = 2
"""Step 0 makes the gradients and the optimiser's state, step 1 is the first to hold them throughout."""


class TrainingPeak:
    """Highest bytes so far: live tensors on the CPU, allocated on CUDA.

    Counting live tensors slows a step, so only steps that can set a new peak are watched: the first two, and any
    whose batch holds more tokens (rows x longest) than every watched one before. Such a step's time is too long by
    the counting, about a third for a small model.
    """

    def __init__(self, device: torch.device, present: Callable[[], Iterable[Tensor]]) -> None:
        """present: the tensors that live between steps (weights, features, gradients, optimiser state)."""
        self._device = device
        self._present = present
        self._largest = 0
        self._live = LiveTensors()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Count in this block, whatever it costs."""
        if self._device.type == "cuda":
            yield
            return
        self._live.adopt(self._present())
        with self._live.watch():
            yield

    @contextmanager
    def step(self, step: int, tokens: int) -> Iterator[None]:
        """Count in this step if its batch of `tokens` can set a new peak."""
        if step >= STEPS_UNTIL_STEADY and tokens <= self._largest:
            yield
            return
        self._largest = max(self._largest, tokens)
        with self.watch():
            yield

    @property
    def peak_bytes(self) -> int:
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return self._live.peak
