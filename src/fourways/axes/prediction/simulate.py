"""Runs the probe's own program on shapes: what each stage would need at its peak, weights included."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext

import torch

from fourways.axes.memory_gauges import Reading
from fourways.axes.memory_stages import ProbeRequest, run_request
from fourways.axes.memory_training import train_step
from fourways.axes.prediction.alike import Known
from fourways.axes.prediction.attention import CudaAttention
from fourways.axes.prediction.counting import HOST, Foreseen, Target
from fourways.axes.prediction.shapes import shapes_only
from fourways.axes.prediction.workload import CPU, Workload, plan_shapes, planned
from fourways.core.errors import CapabilityError, FourwaysError
from fourways.families.contract import Family
from fourways.tuning.recipe import Recipe


def request_peaks(family: Family, workload: Workload, target: Target) -> list[Reading]:
    """Vision, prefill and decode. family: of shapes (`load_shapes`). Raises UserError (`plan_shapes`)."""
    return planned_peaks(family, plan_shapes(family, workload, host(target)), workload.batch, target, {})


def planned_peaks(
    family: Family, request: ProbeRequest, batch: int, target: Target, known: dict[Hashable, Known]
) -> list[Reading]:
    """The same for a request that is planned. known: what one family's layers were found to need on one target; it
    grows, and spares the next request of that family the layers that are alike."""
    with _foreseeing(family, target, known) as foreseen:
        return list(run_request(family, request, batch, foreseen))


def training_peak(family: Family, workload: Workload, recipe: Recipe, target: Target) -> list[Reading]:
    """One LoRA step on `recipe.batch_size` of the same requests. family: of shapes. Raises UserError (`plan_shapes`,
    `match_targets`)."""
    request = plan_shapes(family, workload, host(target))
    with _foreseeing(family, target, {}) as foreseen:
        return list(train_step(planned(family, request), request, recipe, workload.visual_budget, foreseen))


def host(target: Target) -> torch.device:
    """Where pixels wait for the model."""
    return HOST if target == "cuda" else CPU


@contextmanager
def _foreseeing(family: Family, target: Target, known: dict[Hashable, Known]) -> Iterator[Foreseen]:
    """Raises CapabilityError for a family whose code cannot be run on shapes."""
    foreseen = Foreseen(target)
    foreseen.loaded(family.module)
    with shapes_only(), CudaAttention() if target == "cuda" else nullcontext(), foreseen.alike(family.module, known):
        try:
            yield foreseen
        except (FourwaysError, MemoryError):
            raise
        except Exception as error:
            line = (str(error).strip().splitlines() or ["no message"])[0]
            raise CapabilityError(
                f"the memory of {family.card.name} cannot be foretold: its code fails on tensors that have a shape and "
                f"no values ({type(error).__name__}: {line})",
                hint="measure it with the memory axis; FOURWAYS_DEBUG=1 shows where",
            ) from error
