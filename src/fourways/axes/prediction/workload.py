"""What is foreseen: how many equal requests of which pictures and length, on what kind of device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from fourways.axes.memory_stages import PROMPT, ProbeRequest
from fourways.axes.prediction.shapes import shapes_of, shapes_only
from fourways.core.conversation import Conversation, Image, Visual
from fourways.core.errors import UserError
from fourways.families.contract import Family, PromptLayout, VisualUnit

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Workload:
    """`batch` equal requests at once.

    images: (width, height) in pixels of each picture of one request. context: tokens of its prompt and its answer
    together; None: what the pictures and a short question come to. new_tokens: of the answer, at least 2.
    prefill_tokens: as many requests are encoded and prefilled together as have no more prompt tokens, at least one;
    None: all, as the memory axis does.
    """

    images: tuple[tuple[int, int], ...]
    batch: int = 1
    context: int | None = None
    new_tokens: int = 32
    visual_budget: int | None = None
    prefill_tokens: int | None = None

    def together(self, prompt: int) -> int:
        """How many requests of so many prompt tokens are encoded and prefilled at once."""
        return self.batch if self.prefill_tokens is None else max(1, min(self.batch, self.prefill_tokens // prompt))


def plan_shapes(family: Family, workload: Workload, host: torch.device = CPU) -> ProbeRequest:
    """One request, its pixels as shapes on `host`; text fills it up to the context. Only the last decode step will be
    run.

    Raises UserError where the pictures do not fit the context, or the context exceeds the model's; MediaError where
    the family cannot see a picture of that size.
    """
    pictures = [_blank(size, number) for number, size in enumerate(workload.images)]
    conversation = Conversation.ask(PROMPT, *pictures)
    layout = family.layout(conversation, workload.visual_budget)
    least = len(layout.token_ids) + workload.new_tokens
    context = least if workload.context is None else workload.context
    if context > family.spec.context:
        raise UserError(
            f"a context of {context:,} tokens was asked for; the model's holds {family.spec.context:,}",
            hint="use a shorter --context, fewer or smaller images, or a visual budget",
        )
    if least > context:
        visual = int(layout.visual_mask.sum())
        raise UserError(
            f"the pictures ({visual:,} tokens), the question and {workload.new_tokens:,} new tokens need {least:,} "
            f"tokens; the context is {context:,}",
            hint="use a longer --context, fewer or smaller images, or a visual budget",
        )
    units = _units(family, pictures, layout, workload.visual_budget, host)
    prompt = context - workload.new_tokens
    return ProbeRequest(
        conversation,
        _stretched(layout, prompt),
        units,
        workload.new_tokens,
        first_step=workload.new_tokens - 2,
        together=workload.together(prompt),
    )


def planned(family: Family, request: ProbeRequest) -> Family:
    """The same family; whatever it is asked to plan, it plans this request anew, from shapes."""
    return cast(Family, _Planned(family, request))


class _Planned:
    def __init__(self, family: Family, request: ProbeRequest) -> None:
        self._family = family
        self._request = request

    def __getattr__(self, name: str) -> object:
        return getattr(self._family, name)

    def layout(self, conversation: Conversation, visual_budget: int | None = None) -> PromptLayout:
        return _stretched(self._family.layout(conversation, visual_budget), len(self._request.layout.token_ids))

    def preprocess(self, visual: Visual, visual_budget: int | None = None) -> tuple[VisualUnit, ...]:
        index = [one.content_hash for one in self._request.conversation.visuals].index(visual.content_hash)
        keys = self._request.layout.visuals[index].unit_keys
        units = (unit for unit in self._request.units if unit.key in keys)
        return tuple(replace(unit, pixels=unit.pixels.view_as(unit.pixels)) for unit in units)  # seen by who counts


def _blank(size: tuple[int, int], number: int) -> Image:
    """A picture that takes no room, unlike the others of its request."""
    width, height = size
    name = hashlib.sha256(f"blank {number} {width}x{height}".encode()).hexdigest()
    return Image(b"", name, name, np.broadcast_to(np.zeros(1, np.uint8), (height, width, 3)))


def _units(
    family: Family, pictures: Sequence[Image], layout: PromptLayout, visual_budget: int | None, host: torch.device
) -> tuple[VisualUnit, ...]:
    """Shapes of the units of all pictures; pictures of one size are preprocessed once."""
    of_size: dict[tuple[int, int], tuple[VisualUnit, ...]] = {}
    units: list[VisualUnit] = []
    for picture, plan in zip(pictures, layout.visuals, strict=True):
        size = (picture.width, picture.height)
        if size not in of_size:
            of_size[size] = family.preprocess(picture, visual_budget)
        with shapes_only():
            pixels = shapes_of([unit.pixels for unit in of_size[size]], host)
        units += [
            replace(unit, key=key, pixels=shape)
            for unit, key, shape in zip(of_size[size], plan.unit_keys, pixels, strict=True)
        ]
    return tuple(units)


def _stretched(layout: PromptLayout, tokens: int) -> PromptLayout:
    """The same prompt with more text behind it, `tokens` in all."""
    more = tokens - len(layout.token_ids)
    if more == 0:
        return layout
    after = torch.arange(layout.next_position, layout.next_position + more)
    return replace(
        layout,
        token_ids=torch.cat([layout.token_ids, layout.token_ids[-1:].expand(more)]),
        positions=torch.cat([layout.positions, after.expand(layout.positions.shape[0], -1)], 1),
        next_position=layout.next_position + more,
        visual_mask=torch.cat([layout.visual_mask, torch.zeros(more, dtype=torch.bool)]),
    )
