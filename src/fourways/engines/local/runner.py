"""Sequences → tensors → one forward pass → scores. Knows no policy, keeps no state but the KV store's content."""

from __future__ import annotations

from collections.abc import Sequence as Seq

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fourways.engines.local.kv import KVStore
from fourways.engines.local.sequence import Sequence
from fourways.engines.local.stages import Laps
from fourways.families.contract import Family, PromptEmbeddings, VisualUnit

_MAX_ENCODE_TOKENS = 8192
"""Visual tokens in one call of the tower: bounds its memory."""


class Runner:
    def __init__(self, family: Family, store: KVStore) -> None:
        self._family = family
        self._spec = family.spec
        self._store = store

    def encode(self, units: Seq[VisualUnit], laps: Laps) -> list[Tensor]:
        """Features of units in order; laps: is told how long each part took."""
        if not units:
            return []
        with laps.watch(self._family.connectors):
            return self._encode(units)

    def _encode(self, units: Seq[VisualUnit]) -> list[Tensor]:
        features: list[Tensor] = []
        batch: list[VisualUnit] = []
        for unit in units:
            if batch and sum(u.tokens for u in batch) + unit.tokens > _MAX_ENCODE_TOKENS:
                features += self._family.encode(batch)
                batch = []
            batch.append(unit)
        return features + self._family.encode(batch)

    def prefill(self, first: int, sequences: Seq[Sequence]) -> Tensor:
        """Run prompts whose rows first, first+1, … hold their `start` tokens already: scores (B, vocab) after the last
        token of each."""
        parts = [self._prompt(sequence) for sequence in sequences]
        embeds = pad_sequence([part.embeds for part in parts], batch_first=True)
        positions = pad_sequence([s.layout.positions[:, s.start :].T for s in sequences], batch_first=True)
        queries = [sequence.query for sequence in sequences]
        hidden = self._forward(
            first, embeds, positions.permute(2, 0, 1), [s.start for s in sequences], _deepstack(parts, embeds)
        )
        last = torch.tensor(queries, device=hidden.device) - 1
        return self._family.logits(hidden[torch.arange(len(queries), device=hidden.device), last])

    def decode(self, first: int, sequences: Seq[Sequence]) -> Tensor:
        """One token further for the running sequences of rows first, first+1, …: scores (B, vocab)."""
        tokens = torch.tensor([[s.generated[-1]] for s in sequences], device=self._spec.device)
        positions = torch.tensor([s.layout.next_position + len(s.generated) - 1 for s in sequences])
        positions = positions[None, :, None].expand(self._spec.position_rows, -1, -1)
        hidden = self._forward(first, self._family.embed_tokens(tokens), positions, [s.length for s in sequences], None)
        return self._family.logits(hidden[:, 0])

    def extend(self, first: int, after: Sequence, continuations: Seq[Tensor]) -> list[Tensor]:
        """Rows first, … hold a prompt each; run continuations (m_i,) on from it: hidden states (m_i, hidden)."""
        tokens = pad_sequence(list(continuations), batch_first=True).to(self._spec.device)
        count, query = tokens.shape
        positions = after.layout.next_position + torch.arange(query)
        positions = positions.expand(self._spec.position_rows, count, query)
        hidden = self._forward(first, self._family.embed_tokens(tokens), positions, [after.length] * count, None)
        return [row[: len(c)] for row, c in zip(hidden, continuations, strict=True)]

    def _forward(
        self, first: int, embeds: Tensor, positions: Tensor, starts: list[int], deepstack: Tensor | None
    ) -> Tensor:
        query = embeds.shape[1]
        self._store.reserve(self._store.used, max(starts) + query)
        window = self._store.window(first, starts, query)
        return self._family.forward(embeds, positions.to(embeds.device), window.mask(), window, deepstack)

    def _prompt(self, sequence: Sequence) -> PromptEmbeddings:
        layout = sequence.layout
        if sequence.start:
            tokens = layout.token_ids[sequence.start :].to(self._spec.device)
            return PromptEmbeddings(self._family.embed_tokens(tokens))
        visuals = [
            self._family.assemble(visual, features)
            for visual, features in zip(layout.visuals, sequence.features, strict=True)
            if features is not None
        ]
        return self._family.embed(layout, visuals)


def _deepstack(parts: Seq[PromptEmbeddings], embeds: Tensor) -> Tensor | None:
    """(levels, B, Q, hidden), zero where a prompt has none; None if no prompt has any."""
    stacks = [part.deepstack for part in parts]
    levels = next((stack.shape[0] for stack in stacks if stack is not None), None)
    if levels is None:
        return None
    out = embeds.new_zeros((levels, *embeds.shape))
    for row, stack in enumerate(stacks):
        if stack is not None:
            out[:, row, : stack.shape[1]] = stack
    return out
