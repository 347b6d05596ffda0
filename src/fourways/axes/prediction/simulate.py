"""Runs the probe's own program on shapes: what each stage would need at its peak, weights included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from fourways.axes.memory_gauges import Reading
from fourways.axes.memory_stages import run_request
from fourways.axes.memory_training import train_step
from fourways.axes.prediction.attention import CudaAttention
from fourways.axes.prediction.counting import HOST, Foreseen, Target
from fourways.axes.prediction.shapes import shapes_only
from fourways.axes.prediction.workload import CPU, Workload, plan_shapes, planned
from fourways.families.contract import Family
from fourways.tuning.recipe import Recipe


def request_peaks(family: Family, workload: Workload, target: Target) -> list[Reading]:
    """Vision, prefill and decode. family: of shapes (`load_shapes`). Raises UserError (`plan_shapes`)."""
    request = plan_shapes(family, workload, _host(target))
    with _foreseeing(family, target) as foreseen:
        return list(run_request(family, request, workload.batch, foreseen))


def training_peak(family: Family, workload: Workload, recipe: Recipe, target: Target) -> list[Reading]:
    """One LoRA step on `recipe.batch_size` of the same requests. family: of shapes. Raises UserError (`plan_shapes`,
    `match_targets`)."""
    request = plan_shapes(family, workload, _host(target))
    with _foreseeing(family, target) as foreseen:
        return list(train_step(planned(family, request), request, recipe, workload.visual_budget, foreseen))


def _host(target: Target) -> torch.device:
    return HOST if target == "cuda" else CPU


@contextmanager
def _foreseeing(family: Family, target: Target) -> Iterator[Foreseen]:
    foreseen = Foreseen(target)
    foreseen.loaded(family.module)
    with shapes_only(), CudaAttention() if target == "cuda" else nullcontext(), foreseen.alike(family.module):
        yield foreseen
