"""What one request needs, stage by stage: weights, vision, prefill, decode. Runs inside the probe's fresh process.

The request is driven straight through the family, with the engine's own store of keys and values, so that no queue and
no cache of features blurs a stage. A stage's peak holds all that is alive then, weights included.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from fourways.axes.memory_gauges import Reading, StageGauges
from fourways.core.conversation import Conversation
from fourways.core.errors import UserError
from fourways.engines.local.kv import KVStore
from fourways.families.contract import Family, PromptLayout, VisualUnit
from fourways.media import read_image

PROMPT = "Describe this image."


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One request, planned. new_tokens: generated whatever the model says.

    first_step: where decoding begins. together: how many copies are encoded and prefilled at once, None: all. The last
    steps need the most, and every group of copies as much, so one that only counts need not make the others.
    """

    conversation: Conversation
    layout: PromptLayout
    units: tuple[VisualUnit, ...]
    new_tokens: int
    first_step: int = 0
    together: int | None = None

    @property
    def context(self) -> int:
        """Tokens of prompt and answer."""
        return len(self.layout.token_ids) + self.new_tokens


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
    conversation = Conversation.ask(PROMPT, image)
    layout = family.layout(conversation, visual_budget)
    request = ProbeRequest(conversation, layout, tuple(family.preprocess(image, visual_budget)), new_tokens)
    if request.context > family.spec.context:
        raise UserError(
            f"an image of {size[0]}×{size[1]} px and {new_tokens} new tokens need a context of {request.context}; "
            f"the model's holds {family.spec.context}",
            hint="give the candidate a visual budget",
        )
    return request


def run_request(family: Family, request: ProbeRequest, batch: int, gauges: StageGauges) -> Iterator[Reading]:
    """`batch` copies of the request at once; the readings of each stage as it ends."""
    group = batch if request.together is None else min(batch, request.together)
    units = [replace(unit, pixels=unit.pixels.clone()) for _ in range(group) for unit in request.units]
    gauges.hold(unit.pixels for unit in units)
    with gauges.stage("vision_encode"), torch.inference_mode():
        features = family.encode(units)
    yield from gauges.readings("vision_encode")
    with gauges.stage("prefill"), torch.inference_mode():
        del units
        store = store_for(family, batch, request.context)
        chosen = prefill(family, request, features, store)
        del features
    yield from gauges.readings("prefill")
    with gauges.stage("decode"), torch.inference_mode():
        if group < batch:
            chosen = chosen[:1].repeat(batch)
        for index in range(request.first_step, request.new_tokens - 1):
            chosen = decode(family, request.layout, chosen, store, index)
    yield from gauges.readings("decode")


def store_for(family: Family, batch: int, tokens: int) -> KVStore:
    store = KVStore(family.spec, max_rows=batch, max_bytes=batch * tokens * family.spec.kv_bytes_per_token)
    store.add(batch, tokens)
    return store


def prefill(family: Family, request: ProbeRequest, features: list[Tensor], store: KVStore) -> Tensor:
    """The first new token of each copy, (batch,)."""
    layout, each = request.layout, len(request.units)
    starts = range(0, len(features), each) if each else (0,)  # a text alone is one copy
    copies = [_assembled(family, layout, features[i : i + each]) for i in starts]
    prompts = [family.embed(layout, visuals) for visuals in copies]
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


def _assembled(family: Family, layout: PromptLayout, features: Sequence[Tensor]) -> list[Tensor]:
    """Each visual of one copy; features: of all its units, in order."""
    of_unit = iter(features)
    return [family.assemble(visual, list(islice(of_unit, len(visual.unit_tokens)))) for visual in layout.visuals]


def decode(family: Family, layout: PromptLayout, tokens: Tensor, store: KVStore, index: int) -> Tensor:
    """The tokens after answer token `index`, (batch,)."""
    device, start = family.spec.device, len(layout.token_ids) + index
    window = store.window(0, [start] * len(tokens), 1)
    rows = family.spec.position_rows
    positions = torch.full((rows, len(tokens), 1), layout.next_position + index, device=device)
    hidden = family.forward(family.embed_tokens(tokens)[:, None], positions, window.mask(), window)
    return family.logits(hidden[:, -1]).argmax(-1)
