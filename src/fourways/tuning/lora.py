"""One LoRA fine-tune on a family's own forward path: put the adapter in, train it, save it, take it out again."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from fourways.core.errors import FourwaysError
from fourways.families.contract import Family
from fourways.tuning.batch import answer_loss, collate
from fourways.tuning.examples import Example, data_sha256
from fourways.tuning.meter import TrainingPeak
from fourways.tuning.prepared import Prepared, Visuals, prepare
from fourways.tuning.recipe import Recipe
from fourways.tuning.targets import match_targets

ADAPTER = "default"
"""The name under which PEFT saves into the folder itself, not below it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step. loss: mean nats per answer token, before the step. time_ms: all of it, batch making included.

    grad_norms: module name → L2 norm of the gradients of its A and B together, before clipping; every `log_every`
    steps, else None. At step 0 B is zero, so A's gradient is zero too: that sample says little. peak_bytes: so far.
    """

    step: int
    loss: float
    learning_rate: float
    time_ms: float
    peak_bytes: int
    grad_norms: dict[str, float] | None


class TrainingSet:
    """Examples, planned and preprocessed once under the visual budget that the model is asked under; several runs
    (seeds) on one family share it and its features."""

    def __init__(self, family: Family, examples: Sequence[Example], visual_budget: int | None = None) -> None:
        self.visuals = Visuals(family)
        self.items: list[Prepared] = prepare(family, examples, self.visuals, visual_budget)
        self.sha256 = data_sha256(examples)


class LoraRun:
    """A fine-tune of one seed. Use as a context manager: inside, the family's module carries the adapter; outside it is
    as it was. The base weights never change. Nobody else may use the family meanwhile.

    Raises UserError where the targets match nothing (`match_targets`) before anything is touched.
    """

    def __init__(self, family: Family, recipe: Recipe) -> None:
        self.family = family
        self.recipe = recipe
        self.pattern, self.modules = match_targets(family, recipe.targets)
        self._peft: Any = None

    def __enter__(self) -> LoraRun:
        config = LoraConfig(
            r=self.recipe.rank, lora_alpha=self.recipe.alpha, lora_dropout=0.0, target_modules=self.pattern, bias="none"
        )
        self.family.module.requires_grad_(False)
        with torch.random.fork_rng(), warnings.catch_warnings():
            # PEFT asks transformers for a property by its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            # It also says that it cannot merge into quantised weights; nothing is merged here.
            warnings.filterwarnings("ignore", message=".*get_apply_tensor_subclass", category=UserWarning)
            torch.manual_seed(self.recipe.seed)
            self._peft = get_peft_model(self.family.module, config, adapter_name=ADAPTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._peft.unload()
        self._peft = None
        self.family.module.requires_grad_(False)

    @property
    def peft_model(self) -> Any:
        """PEFT's own model around the family's module, while the run is entered."""
        return self._peft

    def steps(self, data: TrainingSet) -> Iterator[Step]:
        """Train, one step at a time. The same seed, data and machine give the same weights.

        Raises FourwaysError if the loss is no longer a finite number.
        """
        recipe = self.recipe
        trained = [p for p in self.family.module.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        peak = TrainingPeak(self.family.spec.device, lambda: self._present(optimiser, data.visuals))
        with peak.watch():
            self._settle_features(data.visuals)
        batches = _batches(data.items, recipe)
        for step in range(recipe.steps):
            started = time.perf_counter()
            items = next(batches)
            rate = recipe.learning_rate_at(step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            with peak.step(step, len(items) * max(item.length for item in items)):
                loss = answer_loss(self.family, collate(self.family, items, data.visuals))
                _refuse_infinite(float(loss.detach()), step)
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                norms = self._grad_norms() if step % recipe.log_every == 0 else None
                torch.nn.utils.clip_grad_norm_(trained, recipe.max_grad_norm)
                optimiser.step()
            time_ms = (time.perf_counter() - started) * 1e3
            yield Step(step, float(loss.detach()), rate, time_ms, peak.peak_bytes, norms)

    def _settle_features(self, visuals: Visuals) -> None:
        """Encode once if no gradient flows through the encoder, each time anew if one does."""
        probe = visuals.some
        if probe is None:
            return
        with torch.enable_grad():
            frozen = not self.family.encode([probe])[0].requires_grad
        if frozen:
            visuals.freeze()
        else:
            visuals.forget()

    def _grad_norms(self) -> dict[str, float]:
        norms = {}
        for name in self.modules:
            layer: Any = self.family.module.get_submodule(name)
            grads = [layer.lora_A[ADAPTER].weight.grad, layer.lora_B[ADAPTER].weight.grad]
            squares = [float(g.float().square().sum()) for g in grads if g is not None]
            norms[name] = sum(squares) ** 0.5
        return norms

    def _present(self, optimiser: torch.optim.Optimizer, visuals: Visuals) -> list[Tensor]:
        parameters = list(self.family.module.parameters())
        states = [value for state in optimiser.state.values() for value in state.values() if isinstance(value, Tensor)]
        grads = [p.grad for p in parameters if p.grad is not None]
        return [*parameters, *self.family.module.buffers(), *grads, *states, *visuals.kept]


def _batches(items: Sequence[Prepared], recipe: Recipe) -> Iterator[list[Prepared]]:
    """Batches without end: a seeded shuffle of all items, then another; none is left out of a round."""
    rng = random.Random(f"order of examples, seed {recipe.seed}")
    queue: list[Prepared] = []
    while True:
        while len(queue) < recipe.batch_size:
            queue += rng.sample(items, len(items))
        yield queue[: recipe.batch_size]
        del queue[: recipe.batch_size]


def _refuse_infinite(loss: float, step: int) -> None:
    if not -float("inf") < loss < float("inf"):
        raise FourwaysError(
            f"the fine-tune broke down: the loss is {loss} at step {step}", hint="lower the learning rate"
        )
