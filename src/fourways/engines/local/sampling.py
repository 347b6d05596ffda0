"""Scores → the next token of each request, and its log-probability.

Order, as in the OpenAI API's servers and transformers: repetition penalty (prompt and reply), presence and frequency
penalties (reply), end-of-sequence forbidden before min_tokens; then greedy, or temperature, top-k, top-p and a draw.
The draw is by the inverse cumulative distribution of one uniform number from the request's own generator, so a
neighbour in the batch changes nothing. Log-probabilities are the model's own (natural log, before penalties and
temperature).
"""

from __future__ import annotations

from collections.abc import Sequence as Seq

import torch
from torch import Tensor

from fourways.core.request import Generate
from fourways.engines.local.sequence import Sequence


def choose(logits: Tensor, sequences: Seq[Sequence], eos: Seq[int]) -> list[tuple[int, float]]:
    """logits (B, vocab), one row a sequence → (token, log-probability) each. A log-probability that is not finite says
    that the row's scores were not."""
    raw = logits.float()
    shaped = raw
    for row, sequence in enumerate(sequences):
        if _shapes(sequence):
            shaped = raw.clone() if shaped is raw else shaped
            _shape(shaped[row], sequence, eos)
    tokens = shaped.argmax(dim=-1)
    drawn = [row for row, sequence in enumerate(sequences) if sequence.generate.temperature > 0]
    if drawn:
        tokens[drawn] = _draw(shaped[drawn], [sequences[row] for row in drawn])
    logprobs = raw.gather(1, tokens[:, None])[:, 0] - raw.logsumexp(dim=-1)
    return list(zip(tokens.tolist(), logprobs.tolist(), strict=True))


def _shapes(sequence: Sequence) -> bool:
    wanted = sequence.generate
    return wanted.min_tokens > len(sequence.generated) or bool(
        wanted.repetition_penalty != 1.0 or wanted.presence_penalty or wanted.frequency_penalty
    )


def _shape(scores: Tensor, sequence: Sequence, eos: Seq[int]) -> None:
    wanted = sequence.generate
    reply = torch.tensor(sequence.generated, dtype=torch.long, device=scores.device)
    if wanted.repetition_penalty != 1.0:
        seen = torch.unique(torch.cat([sequence.layout.token_ids.to(scores.device), reply]))
        old = scores[seen]
        scores[seen] = torch.where(old < 0, old * wanted.repetition_penalty, old / wanted.repetition_penalty)
    if len(reply) and (wanted.presence_penalty or wanted.frequency_penalty):
        times = torch.bincount(reply, minlength=len(scores))
        said = times > 0
        scores -= wanted.presence_penalty * said + wanted.frequency_penalty * times
    if wanted.min_tokens > len(sequence.generated):
        scores[list(eos)] = -torch.inf


def _draw(scores: Tensor, sequences: Seq[Sequence]) -> Tensor:
    wanted = [sequence.generate for sequence in sequences]
    scaled = scores / _column([w.temperature for w in wanted], scores)
    ordered, tokens = scaled.sort(dim=-1, descending=True)
    chance = ordered.softmax(dim=-1).double()
    chance = chance * _kept(chance, wanted)
    heaps = chance.cumsum(dim=-1)
    uniform = _column([float(s.uniform()) for s in sequences], heaps)
    places = torch.searchsorted(heaps, uniform * heaps[:, -1:], right=True)
    last = (chance > 0).sum(dim=-1, keepdim=True) - 1
    return tokens.gather(1, torch.minimum(places, last))[:, 0]


def _kept(chance: Tensor, wanted: Seq[Generate]) -> Tensor:
    """1 where top-k and top-p keep a token; the most likely one is always kept. chance is sorted, highest first."""
    vocabulary = chance.shape[-1]
    top_k = _column([w.top_k or vocabulary for w in wanted], chance)
    top_p = _column([w.top_p for w in wanted], chance)
    rank = torch.arange(vocabulary, device=chance.device)
    by_k = rank < top_k
    among_k = chance * by_k
    among_k = among_k / among_k.sum(dim=-1, keepdim=True)
    before = among_k.cumsum(dim=-1) - among_k
    by_p = (before < top_p) | (rank == 0)
    return by_k & by_p


def _column(values: Seq[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
