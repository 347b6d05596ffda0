"""How to fine-tune: every number that decides the result, and the learning-rate schedule."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from fourways.core.errors import UserError


class Recipe(msgspec.Struct, frozen=True):
    """A LoRA fine-tune.

    targets: a name that the family declares ("llm", "llm+connector", "all") or a regular expression over whole module
    names. rank, alpha: LoRA's r and α; the update is scaled by α / r (Hu et al., arXiv 2106.09685, section 4.1).
    steps: optimiser steps of batch_size examples. learning_rate: the highest one, reached after warmup_steps, then
    down to zero on a line or a half cosine. max_grad_norm: gradients are scaled down to this total L2 norm.
    seed: decides LoRA's start and the order of examples. log_every: gradient norms are taken every so many steps.
    """

    seed: int
    steps: int
    batch_size: int = 16
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    schedule: Literal["linear", "cosine"] = "cosine"
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    rank: int = 8
    alpha: int = 16
    targets: str = "llm"
    log_every: int = 10

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "rank", "alpha", "log_every", "learning_rate", "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise UserError(f"a fine-tune needs {name} above 0, got {getattr(self, name)}")
        if not 0 <= self.warmup_steps < self.steps:
            raise UserError(f"warmup_steps must lie in 0 … {self.steps - 1} (steps - 1), got {self.warmup_steps}")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of optimiser step `step` (from 0)."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        left = 1 - done if self.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * left
