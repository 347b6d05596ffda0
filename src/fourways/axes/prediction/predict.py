"""What the memory axis will measure of a candidate, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fourways.axes.memory_gauges import Reading, storage_bytes
from fourways.axes.memory_training import probe_recipe
from fourways.axes.prediction.counting import Target
from fourways.axes.prediction.model import ModelAsk, load_shapes
from fourways.axes.prediction.shapes import shapes_only
from fourways.axes.prediction.simulate import request_peaks, training_peak
from fourways.axes.prediction.workload import Workload, plan_shapes
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.rows import MemoryPredictedRow
from fourways.engines.local.adapters import Adapters
from fourways.families.contract import Family


def predict(
    checkpoint: Checkpoint, candidate: Candidate, image_size: tuple[int, int], batch: int, new_tokens: int
) -> list[Reading]:
    """(stage, quantity, bytes) that the probe of this candidate will read, as far as shapes can say: weights and bytes
    per token of keys and values exactly, peaks as live tensors (CPU) or as allocated (CUDA), weights included.

    Blocks for a second or more. Raises what loading or planning the model raises.
    """
    family = _family(checkpoint, candidate)
    return list(_readings(family, candidate, Workload((image_size,), batch, None, new_tokens, candidate.visual_budget)))


def predicted_rows(
    checkpoint: Checkpoint, candidate: Candidate, image_size: tuple[int, int], batch: int, new_tokens: int
) -> list[MemoryPredictedRow]:
    """The same as rows, to stand beside the measured ones."""
    family = _family(checkpoint, candidate)
    workload = Workload((image_size,), batch, None, new_tokens, candidate.visual_budget)
    context = plan_shapes(family, workload).context
    return [
        MemoryPredictedRow(candidate.name, stage, quantity, size, image_size, batch, context)
        for stage, quantity, size in _readings(family, candidate, workload)
    ]


def _family(checkpoint: Checkpoint, candidate: Candidate) -> Family:
    family = load_shapes(ModelAsk(checkpoint, candidate.dtype, candidate.quantization))
    if candidate.adapter is not None:
        adapters = Adapters(family)
        adapter = adapters.load(candidate.adapter, Path(candidate.adapter))  # small, and read for real
        with shapes_only():
            adapters.attach(adapter)
    return family


def _readings(family: Family, candidate: Candidate, workload: Workload) -> Iterator[Reading]:
    target: Target = "cuda" if candidate.device.startswith("cuda") else "cpu"
    yield "weights", "exact", storage_bytes([*family.module.parameters(), *family.module.buffers()])
    yield from request_peaks(family, workload, target)
    if candidate.adapter is None:  # a fine-tune starts from a base model
        yield from training_peak(family, workload, probe_recipe(workload.batch), target)
    yield "kv_per_token", "exact", family.spec.kv_bytes_per_token  # last: what a whole prediction ends with
