"""Training state on disk, so that a killed run goes on where it stopped.

Contract: the state file is replaced as a whole (written beside, then renamed), so there is always one that loads.
Random numbers derive from seed and step, never from a generator that lives across steps, so nothing but weights,
optimizer and step is kept.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch


class Progress:
    """Step counter, learning-rate schedule (warm-up, then cosine to 5 %), loss average and the state file of one
    training run.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        parts: dict[str, Any],
        *,
        steps: int,
        lr: float,
        warmup: int = 60,
        save_s: float = 60,
    ) -> None:
        self._path = folder / f"{name}.pt"
        self._name, self._parts, self._steps, self._lr, self._warmup = name, parts, steps, lr, warmup
        self._save_s, self._saved, self._losses = save_s, time.monotonic(), [0.0, 0.0]
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            state = torch.load(self._path, weights_only=True)
            for key, part in parts.items():
                part.load_state_dict(state[key])
            self.step = int(state["step"])
            print(f"{name}: going on from step {self.step}", flush=True)

    def set_lr(self, optimizer: torch.optim.Optimizer) -> None:
        rise = min(1.0, (self.step + 1) / self._warmup)
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self._steps)))
        for group in optimizer.param_groups:
            group["lr"] = self._lr * rise * fall * group.get("lr_scale", 1.0)

    def advance(self, loss: float) -> None:
        self.step += 1
        self._losses[0] += loss
        self._losses[1] += 1
        if time.monotonic() - self._saved > self._save_s:
            self.save()

    def line(self) -> str:
        mean = self._losses[0] / max(1.0, self._losses[1])
        self._losses = [0.0, 0.0]
        return f"{self._name} step {self.step}/{self._steps} loss {mean:.4f}"

    def save(self) -> None:
        beside = self._path.with_suffix(".tmp")
        torch.save({"step": self.step, **{k: p.state_dict() for k, p in self._parts.items()}}, beside)
        beside.replace(self._path)
        self._saved = time.monotonic()
