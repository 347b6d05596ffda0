"""A model on a workload, foreseen: weights by part, keys and values, and the peak of every stage with its shares."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any, Literal

import msgspec
from peft import LoraConfig, LoraModel

from fourways.axes.memory_gauges import storage_bytes
from fourways.axes.memory_stages import ProbeRequest
from fourways.axes.memory_training import STEPS
from fourways.axes.prediction.alike import Known
from fourways.axes.prediction.counting import Target
from fourways.axes.prediction.formats import int4_saving, kv_bytes_per_token
from fourways.axes.prediction.model import ModelAsk, load_shapes
from fourways.axes.prediction.parts import weight_parts
from fourways.axes.prediction.shapes import shapes_only
from fourways.axes.prediction.simulate import host, planned_peaks, training_peak
from fourways.axes.prediction.workload import Workload, plan_shapes
from fourways.core.candidate import Checkpoint, Dtype, Quantization
from fourways.core.errors import UserError
from fourways.core.rows import MemoryStage
from fourways.families.contract import Family
from fourways.tuning.recipe import Recipe
from fourways.tuning.targets import match_targets

WEIGHTS, KEYS, ACTIVATIONS = "weights", "keys and values", "activations"
_FLOAT32 = 4
"""What learns is float32 under every dtype of the model: PEFT casts it up. An adapter that only answers is not."""


class Lora(msgspec.Struct, frozen=True):
    """rank: LoRA's r. targets: a name that the family declares, or a regular expression (`tuning.recipe`)."""

    rank: int
    targets: str = "llm"


class Ask(msgspec.Struct, frozen=True):
    """What is asked of one model. lora: an adapter that is attached, or, with train, one that is learned.

    quantization: int8 as the local engine makes it, int4 and kv_quantization in stated formats (`formats`).
    """

    checkpoint: Checkpoint
    dtype: Dtype
    target: Target = "cuda"
    quantization: Quantization | None = None
    kv_quantization: Literal["int8", "int4"] | None = None
    lora: Lora | None = None
    train: bool = False


class StagePeak(msgspec.Struct, frozen=True):
    """shares: what the peak is made of, in bytes; they add up to it."""

    stage: MemoryStage
    peak_bytes: int
    shares: dict[str, int]


class Forecast(msgspec.Struct, frozen=True):
    """parts: the weights, by part. lora_bytes: as an adapter is held, beside them. visual_tokens: of one request.
    context: tokens of one request, answer included. together: requests that are encoded and prefilled at once."""

    parts: dict[str, int]
    weights_bytes: int
    lora_parameters: int
    lora_bytes: int
    kv_bytes_per_token: int
    kv_bytes: int
    visual_tokens: int
    context: int
    together: int
    stages: tuple[StagePeak, ...]

    @property
    def peak(self) -> StagePeak:
        """The stage that needs the most."""
        return max(self.stages, key=lambda stage: stage.peak_bytes)


class Forecaster:
    """One model of shapes, asked about as many workloads as one likes."""

    def __init__(self, ask: Ask) -> None:
        """Raises CheckpointError, CapabilityError, or UserError for targets that match nothing."""
        if ask.train and ask.lora is None:
            raise UserError("--train needs to know the adapter", hint="add --lora r=16")
        self.ask = ask
        own = "int8" if ask.quantization == "int8" else None
        self._model = ModelAsk(ask.checkpoint, ask.dtype, own)
        self.family: Family = load_shapes(self._model)
        self._saved = int4_saving(self.family) if ask.quantization == "int4" else 0
        self.parts = weight_parts(self.family)
        self.parts["language"] -= self._saved
        self.lora_parameters = 0 if ask.lora is None else _lora_parameters(self.family, ask.lora)
        self._served = self.family
        if ask.lora is not None and not ask.train:
            self._served = load_shapes(self._model)
            _attach(self._served, ask.lora)
        self._held = storage_bytes([*self._served.module.parameters(), *self._served.module.buffers()])
        self._known: dict[Hashable, Known] = {}
        self._foreseen: dict[Hashable, tuple[StagePeak, ...]] = {}

    @property
    def kv_bytes_per_token(self) -> int:
        return kv_bytes_per_token(self.family.spec, self.ask.kv_quantization)

    def foresee(self, workload: Workload) -> Forecast:
        """Raises UserError or MediaError where the workload does not fit the model (`plan_shapes`)."""
        request = plan_shapes(self.family, workload, host(self.ask.target))
        together = workload.batch if self.ask.train else workload.together(request.context - request.new_tokens)
        key = (workload.batch, request.context, request.new_tokens, together, _shapes(request))
        if key not in self._foreseen:
            self._foreseen[key] = self._training(workload) if self.ask.train else self._serving(workload, request)
        own = self._held - sum(self.parts.values()) - self._saved
        return Forecast(
            parts=self.parts,
            weights_bytes=sum(self.parts.values()),
            lora_parameters=self.lora_parameters,
            lora_bytes=self.lora_parameters * _FLOAT32 if self.ask.train else own,
            kv_bytes_per_token=self.kv_bytes_per_token,
            kv_bytes=workload.batch * request.context * self.kv_bytes_per_token,
            visual_tokens=int(request.layout.visual_mask.sum()),
            context=request.context,
            together=together,
            stages=self._foreseen[key],
        )

    def _serving(self, workload: Workload, request: ProbeRequest) -> tuple[StagePeak, ...]:
        tokens, held = workload.batch * request.context, self._held
        stages = []
        for stage, _, peak in planned_peaks(self._served, request, workload.batch, self.ask.target, self._known):
            full, small = (
                (0, 0)
                if stage == "vision_encode"
                else (tokens * self.family.spec.kv_bytes_per_token, tokens * self.kv_bytes_per_token)
            )
            shares = {WEIGHTS: held - self._saved, KEYS: small, ACTIVATIONS: peak - held - full}
            stages.append(StagePeak(stage, sum(shares.values()), shares))
        return tuple(stages)

    def _training(self, workload: Workload) -> tuple[StagePeak, ...]:
        assert self.ask.lora is not None
        recipe = Recipe(
            seed=0,
            steps=STEPS,
            batch_size=workload.batch,
            rank=self.ask.lora.rank,
            alpha=2 * self.ask.lora.rank,
            targets=self.ask.lora.targets,
        )
        ((stage, _, peak),) = training_peak(self.family, workload, recipe, self.ask.target)
        held, learned = sum(self.parts.values()) + self._saved, self.lora_parameters * _FLOAT32
        shares = {
            WEIGHTS: held - self._saved,
            "LoRA weights": learned,
            "gradients": learned,
            "optimiser (AdamW, two moments)": 2 * learned,
            ACTIVATIONS: peak - held - 4 * learned,
        }
        return (StagePeak(stage, sum(shares.values()), shares),)


def _shapes(request: ProbeRequest) -> Hashable:
    """All of a request's pictures that decides what it needs."""
    return tuple((tuple(unit.pixels.shape), unit.grid, unit.tokens) for unit in request.units)


def _lora_parameters(family: Family, lora: Lora) -> int:
    _, names = match_targets(family, lora.targets)
    modules: dict[str, Any] = dict(family.module.named_modules())
    return sum(lora.rank * (modules[name].in_features + modules[name].out_features) for name in names)


def _attach(family: Family, lora: Lora) -> None:
    """As the engine attaches an adapter (`engines.local.adapters`)."""
    pattern, _ = match_targets(family, lora.targets)
    config = LoraConfig(r=lora.rank, lora_alpha=2 * lora.rank, target_modules=pattern, inference_mode=True)
    with shapes_only(), warnings.catch_warnings():
        # PEFT says that it cannot merge into quantised weights; nothing is merged here.
        warnings.filterwarnings("ignore", message=".*get_apply_tensor_subclass", category=UserWarning)
        LoraModel(family.module, config, "foreseen")
    family.module.eval()
