"""A batch of prepared examples as tensors: padded on the right, causal, with the places whose next token is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fourways.families.contract import Family
from fourways.tuning.prepared import Prepared, Visuals


@dataclass(frozen=True, slots=True)
class Batch:
    """embeds (B, T, hidden); positions (P, B, T); mask (B, 1, T, T) bool; deepstack (levels, B, T, hidden) or None.

    learned: (B, T) bool, True where the next token belongs to the answer. targets: those tokens, (N,) int64, in
    reading order.
    """

    embeds: Tensor
    positions: Tensor
    mask: Tensor
    deepstack: Tensor | None
    learned: Tensor
    targets: Tensor


def collate(family: Family, items: Sequence[Prepared], visuals: Visuals) -> Batch:
    """Embed and pad. The end token is only ever a target."""
    device = family.spec.device
    longest = max(item.length for item in items)
    embeds, deepstacks, positions = [], [], []
    learned = torch.zeros(len(items), longest, dtype=torch.bool)
    for row, item in enumerate(items):
        prompt = family.embed(item.layout, visuals.of(item.layout))
        answer = family.embed_tokens(item.answer_ids[:-1].to(device))
        pad = longest - item.length
        embeds.append(functional.pad(torch.cat([prompt.embeds, answer]), (0, 0, 0, pad)))
        if prompt.deepstack is not None:
            deepstacks.append(functional.pad(prompt.deepstack, (0, 0, 0, len(answer) + pad)))
        after = torch.arange(len(answer) + pad) + item.layout.next_position
        positions.append(torch.cat([item.layout.positions.cpu(), after.expand(item.layout.positions.shape[0], -1)], 1))
        start = len(item.layout.token_ids) - 1
        learned[row, start : item.length] = True
    return Batch(
        embeds=torch.stack(embeds),
        positions=torch.stack(positions, 1).to(device),
        mask=causal_mask([item.length for item in items]).to(device),
        deepstack=torch.stack(deepstacks, 1) if deepstacks else None,
        learned=learned.to(device),
        targets=torch.cat([item.answer_ids for item in items]).to(device),
    )


def causal_mask(lengths: Sequence[int]) -> Tensor:
    """(B, 1, T, T) bool: a token looks at itself and at real tokens before it; padding looks at itself as well, so
    that no row is empty (an empty softmax is NaN)."""
    longest = max(lengths)
    real = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    return ((causal & real[:, None, :]) | torch.eye(longest, dtype=torch.bool))[:, None]


def answer_loss(family: Family, batch: Batch) -> Tensor:
    """Mean cross-entropy, in nats, over the answers' tokens (end tokens included) of the batch."""
    hidden = family.forward(batch.embeds, batch.positions, batch.mask, None, batch.deepstack)
    logits = family.logits(hidden[batch.learned])
    return functional.cross_entropy(logits.float(), batch.targets)
