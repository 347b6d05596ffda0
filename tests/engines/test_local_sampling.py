"""Draws follow the distribution that was asked for, and belong to their request alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from fourways.core.conversation import Conversation
from fourways.core.request import Generate, Plan, Request
from fourways.engines.local.sampling import choose
from fourways.engines.local.sequence import Sequence


def _sequence(wanted: Generate, generated=(), prompt=(0,)) -> Sequence:
    request = Request("x", Conversation.ask("?"), Plan("tiny"), wanted)
    sequence = Sequence(request, request.conversation, None, None, SimpleNamespace(), 0)
    sequence._layout = SimpleNamespace(token_ids=torch.tensor(prompt))
    sequence.generated = list(generated)
    return sequence


def _counts(wanted: Generate, logits: torch.Tensor, draws: int = 4000) -> Counter:
    sequence = _sequence(wanted)
    return Counter(choose(logits[None], [sequence], ())[0][0] for _ in range(draws))


def test_draws_follow_the_softmax_at_their_temperature():
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])
    found = _counts(Generate(1, temperature=0.7, seed=3), logits)
    expected = (logits / 0.7).softmax(-1)
    for token, chance in enumerate(expected.tolist()):
        assert found[token] / 4000 == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 4000) ** 0.5)


def test_top_k_keeps_the_k_best():
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0, 1.5])
    assert set(_counts(Generate(1, temperature=1.0, top_k=2), logits, 500)) == {3, 4}
    assert set(_counts(Generate(1, temperature=1.0, top_k=1), logits, 50)) == {3}


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert set(_counts(Generate(1, temperature=1.0, top_p=0.49), logits, 500)) == {0}
    assert set(_counts(Generate(1, temperature=1.0, top_p=0.52), logits, 500)) == {0, 1}
    assert set(_counts(Generate(1, temperature=1.0, top_p=0.81), logits, 800)) == {0, 1, 2}
    assert set(_counts(Generate(1, temperature=1.0, top_p=1e-9), logits, 50)) == {0}


def test_presence_and_frequency_penalties_act_on_what_was_said():
    logits = torch.tensor([3.0, 2.5, 0.0])
    said = (0, 0)
    assert choose(logits[None], [_sequence(Generate(9), said)], ())[0][0] == 0
    assert choose(logits[None], [_sequence(Generate(9, presence_penalty=1.0), said)], ())[0][0] == 1
    assert choose(logits[None], [_sequence(Generate(9, frequency_penalty=0.3), said)], ())[0][0] == 1
    assert choose(logits[None], [_sequence(Generate(9, frequency_penalty=0.2), said)], ())[0][0] == 0


def test_the_end_is_forbidden_before_the_least_length():
    logits = torch.tensor([3.0, 2.5, 0.0])
    assert choose(logits[None], [_sequence(Generate(9, min_tokens=2), (1,))], (0,))[0][0] == 1
    assert choose(logits[None], [_sequence(Generate(9, min_tokens=2), (1, 1))], (0,))[0][0] == 0


def test_log_probabilities_are_the_models_own():
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    wanted = Generate(9, temperature=0.1, repetition_penalty=5.0, seed=1)
    ((token, logprob),) = choose(logits, [_sequence(wanted, (0,))], ())
    assert logprob == pytest.approx(float(logits[0].log_softmax(-1)[token]), abs=1e-6)


def test_a_neighbour_changes_no_draw():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    wanted = [Generate(9, temperature=1.0, top_p=0.9, seed=7), Generate(9), Generate(9, temperature=2.0, seed=8)]
    alone = [choose(logits[n : n + 1], [_sequence(w)], ())[0] for n, w in enumerate(wanted)]
    together = choose(logits, [_sequence(w) for w in wanted], ())
    assert [token for token, _ in alone] == [token for token, _ in together]


async def test_the_same_seed_gives_the_same_reply_whoever_runs_beside(qwen, serve, ask, reply, pictures):
    def wanted(seed: int) -> Generate:
        return Generate(10, ignore_eos=True, temperature=1.0, top_p=0.95, seed=seed)

    conversation = Conversation.ask("Describe.", pictures[0])
    async with serve(qwen) as engine:
        alone = await reply(engine, ask(conversation, wanted(5)))
        crowd = await asyncio.gather(*(reply(engine, ask(conversation, wanted(seed))) for seed in range(8)))
    assert crowd[5].tokens == alone.tokens
    assert len({tuple(one.tokens) for one in crowd}) > 1
