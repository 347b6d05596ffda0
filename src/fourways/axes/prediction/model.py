"""A model as shapes: built from its config by the family's own loader, without weights."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fourways.axes.prediction.shapes import shapes_only
from fourways.core.candidate import Checkpoint, Dtype
from fourways.families.contract import Family
from fourways.families.registry import find_family


@dataclass(frozen=True, slots=True)
class ModelAsk:
    """Which model, how. quantization: "int8" as the local engine makes it, or None."""

    checkpoint: Checkpoint
    dtype: Dtype
    quantization: str | None = None


def load_shapes(ask: ModelAsk) -> Family:
    """The family, its module of shapes. Only config.json and what stands beside the weights is read.

    Raises CheckpointError, or CapabilityError where the quantisation cannot be had.
    """
    config_only = msgspec.structs.replace(ask.checkpoint, random_weights=True)
    family = find_family(ask.checkpoint.architecture)
    with shapes_only():
        return family.load(config_only, dtype=ask.dtype, device="cpu", quantization=ask.quantization)
