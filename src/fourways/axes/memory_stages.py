"""What one request needs, stage by stage: weights, vision, prefill, decode. Runs inside the probe's fresh process.

The request is driven straight through the family, with the engine's own store of keys and values, so that no queue and
no cache of features blurs a stage. A stage's peak holds all that is alive then, weights included.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from fourways.core.conversation import Conversation
from fourways.core.errors import UserError
from fourways.core.rows import MemoryQuantity, MemoryStage
from fourways.engines.local.kv import KVStore
from fourways.families.contract import Family, PromptLayout, VisualUnit
from fourways.media import read_image
from fourways.trace.live_tensors import LiveTensors, stored
from fourways.trace.resident import PeakResident, resident_bytes

PROMPT = "Describe this image."

Reading = tuple[MemoryStage, MemoryQuantity, int]
"""Stage, quantity, bytes."""


class Gauges:
    """Peaks, one stage at a time. Make it before the model is loaded: the process's size then is its zero."""

    def __init__(self, device: torch.device, resident: PeakResident) -> None:
        self._device = device
        self._resident = resident
        self._zero = resident_bytes()
        self._live = LiveTensors()

    def loaded(self, family: Family) -> list[Reading]:
        """The readings of loading, and the weights. Call once, when the model is loaded.

        Loaders use threads of their own, so live tensors are not known while loading; the process's peak is.
        """
        held = [*family.module.parameters(), *family.module.buffers()]
        self._live.adopt(held)
        return [*self._process("load"), *self._cuda("load"), ("weights", "exact", storage_bytes(held))]

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors that were made before anyone watched."""
        self._live.adopt(tensors)

    @contextmanager
    def stage(self) -> Iterator[None]:
        """Peaks start again at the beginning of the block."""
        self._live.reset_peak()
        self._resident.reset()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        with torch.inference_mode(), nullcontext() if self._device.type == "cuda" else self._live.watch():
            yield

    def readings(self, stage: MemoryStage) -> list[Reading]:
        """The peaks since the last stage began."""
        live: list[Reading] = [] if self._device.type == "cuda" else [(stage, "live_tensors", self._live.peak)]
        return [*live, *self._cuda(stage), *self._process(stage)]

    def _process(self, stage: MemoryStage) -> list[Reading]:
        return [(stage, "process_above_load", max(0, self._resident.peak() - self._zero))]

    def _cuda(self, stage: MemoryStage) -> list[Reading]:
        if self._device.type != "cuda":
            return []
        torch.cuda.synchronize(self._device)
        allocated, reserved = (
            torch.cuda.max_memory_allocated(self._device),
            torch.cuda.max_memory_reserved(self._device),
        )
        return [(stage, "allocated", allocated), (stage, "reserved", reserved)]


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of these tensors by their shapes, those of one storage once (tied weights), quantised ones as stored."""
    distinct = {t.untyped_storage().data_ptr(): t for tensor in tensors for t in stored(tensor)}
    return sum(t.numel() * t.element_size() for t in distinct.values())


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One request, planned. new_tokens: generated whatever the model says."""

    layout: PromptLayout
    units: tuple[VisualUnit, ...]
    new_tokens: int


def picture(size: tuple[int, int]) -> bytes:
    """A PNG of (width, height) px whose content is fixed; what it shows does not change what it needs."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels, "RGB").save(buffer, "PNG")
    return buffer.getvalue()


def plan(family: Family, size: tuple[int, int], visual_budget: int | None, new_tokens: int) -> ProbeRequest:
    """The request for an image of (width, height) px. Raises UserError if it exceeds the model's context."""
    image = read_image(picture(size), name="memory probe")
    layout = family.layout(Conversation.ask(PROMPT, image), visual_budget)
    context = len(layout.token_ids) + new_tokens
    if context > family.spec.context:
        raise UserError(
            f"an image of {size[0]}×{size[1]} px and {new_tokens} new tokens need a context of {context}; "
            f"the model's holds {family.spec.context}",
            hint="give the candidate a visual budget",
        )
    return ProbeRequest(layout, tuple(family.preprocess(image, visual_budget)), new_tokens)


def run_request(family: Family, request: ProbeRequest, batch: int, gauges: Gauges) -> Iterator[Reading]:
    """`batch` copies of the request at once; the readings of each stage as it ends."""
    units = [replace(unit, pixels=unit.pixels.clone()) for _ in range(batch) for unit in request.units]
    gauges.hold(unit.pixels for unit in units)
    with gauges.stage():
        features = family.encode(units)
    yield from gauges.readings("vision_encode")
    length, tokens = len(request.layout.token_ids), request.new_tokens
    with gauges.stage():
        del units
        store = _store(family, batch, length + tokens)
        chosen = _prefill(family, request, features, store)
        del features
    yield from gauges.readings("prefill")
    with gauges.stage():
        for index in range(tokens - 1):
            chosen = _decode(family, request.layout, chosen, store, index)
    yield from gauges.readings("decode")
    yield "kv_per_token", "exact", family.spec.kv_bytes_per_token


def _store(family: Family, batch: int, tokens: int) -> KVStore:
    store = KVStore(family.spec, max_rows=batch, max_bytes=batch * tokens * family.spec.kv_bytes_per_token)
    store.add(batch, tokens)
    return store


def _prefill(family: Family, request: ProbeRequest, features: list[Tensor], store: KVStore) -> Tensor:
    """The first new token of each copy, (batch,)."""
    layout, each = request.layout, len(request.units)
    visuals = [family.assemble(layout.visuals[0], features[i : i + each]) for i in range(0, len(features), each)]
    prompts = [family.embed(layout, [visual]) for visual in visuals]
    device, length = family.spec.device, len(layout.token_ids)
    window = store.window(0, [0] * len(prompts), length)
    stacks = [p.deepstack for p in prompts if p.deepstack is not None]
    hidden = family.forward(
        torch.stack([p.embeds for p in prompts]),
        layout.positions.to(device)[:, None].expand(-1, len(prompts), -1),
        window.mask(),
        window,
        torch.stack(stacks, 1) if stacks else None,
    )
    return family.logits(hidden[:, -1]).argmax(-1)


def _decode(family: Family, layout: PromptLayout, tokens: Tensor, store: KVStore, index: int) -> Tensor:
    """The tokens after answer token `index`, (batch,)."""
    device, start = family.spec.device, len(layout.token_ids) + index
    window = store.window(0, [start] * len(tokens), 1)
    rows = family.spec.position_rows
    positions = torch.full((rows, len(tokens), 1), layout.next_position + index, device=device)
    hidden = family.forward(family.embed_tokens(tokens)[:, None], positions, window.mask(), window)
    return family.logits(hidden[:, -1]).argmax(-1)
