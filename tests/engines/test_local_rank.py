"""Ranking gives the log-likelihood that a plain forward pass over prompt and continuation gives."""

from __future__ import annotations

import asyncio

import pytest
import torch

from fourways.core.conversation import Conversation
from fourways.core.request import Generate, Rank
from fourways.engines.local.rank import continuation_ids

CHOICES = ("A", "the end", "yes, in the middle", "no", "中文", "<|im_end|>")


@torch.inference_mode()
def _direct(family, conversation, wanted):
    """Each continuation appended to the prompt, the whole run at once without any cache."""
    layout = family.layout(conversation)
    visuals = [
        family.assemble(plan, family.encode(family.preprocess(visual)))
        for visual, plan in zip(conversation.visuals, layout.visuals, strict=True)
    ]
    prompt = family.embed(layout, visuals)
    sums = []
    for ids in continuation_ids(family.tokenizer, wanted):
        tokens = torch.tensor(ids)
        embeds = torch.cat([prompt.embeds, family.embed_tokens(tokens)])[None]
        after = layout.next_position + torch.arange(len(ids))
        positions = torch.cat([layout.positions, after.expand(family.spec.position_rows, -1)], dim=1)[:, None]
        length = embeds.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        deepstack = None
        if prompt.deepstack is not None:
            deepstack = torch.nn.functional.pad(prompt.deepstack, (0, 0, 0, len(ids)))[:, None]
        hidden = family.forward(embeds, positions, mask, None, deepstack)[0]
        scores = family.logits(hidden[-len(ids) - 1 : -1]).log_softmax(dim=-1)
        sums.append(float(scores.gather(1, tokens[:, None]).sum()))
    return sums


async def test_rank_equals_a_direct_computation(family, serve, ask, reply, pictures):
    wanted = Rank(CHOICES)
    conversations = [Conversation.ask("Which?", pictures[0]), Conversation.ask("Or else?", pictures[0])]
    async with serve(family) as engine:
        for conversation in conversations:
            got = await reply(engine, ask(conversation, wanted))
            assert got.done.finish_reason == "rank" and got.events == []
            assert got.done.rank_logprobs == pytest.approx(_direct(family, conversation, wanted), abs=2e-4)
        assert engine.counters()["prefix_hits"] == 1 and engine.counters()["running"] == 0


async def test_ranking_beside_generation_changes_neither(qwen, serve, ask, reply, pictures):
    generate = [ask(Conversation.ask(f"Go on {n}", pictures[n]), Generate(12, ignore_eos=True)) for n in range(5)]
    rank = [ask(Conversation.ask("Which?", pictures[n]), Rank(CHOICES)) for n in range(5)]
    async with serve(qwen, max_batch=1) as alone:
        texts = [(await reply(alone, request)).tokens for request in generate]
        sums = [(await reply(alone, request)).done.rank_logprobs for request in rank]
    async with serve(qwen) as engine:
        both = await asyncio.gather(*(reply(engine, r) for pair in zip(generate, rank, strict=True) for r in pair))
    assert [one.tokens for one in both[::2]] == texts
    for one, expected in zip(both[1::2], sums, strict=True):
        assert one.done.rank_logprobs == pytest.approx(expected, abs=2e-4)


async def test_the_first_token_of_generation_is_the_best_ranked_token(qwen, serve, ask, reply, pictures):
    conversation = Conversation.ask("Which?", pictures[1])
    letters = Rank(tuple("ABCDEFGH"))
    async with serve(qwen) as engine:
        ranked = (await reply(engine, ask(conversation, letters))).done.rank_logprobs
        said = await reply(engine, ask(conversation, Generate(1, ignore_eos=True)))
    assert said.done.mean_logprob >= max(ranked) - 1e-4


def test_control_tokens_in_a_continuation_are_text(qwen):
    end = qwen.tokenizer.convert_tokens_to_ids("<|im_end|>")
    (ids,) = continuation_ids(qwen.tokenizer, Rank(("<|im_end|>",)))
    assert end not in ids and len(ids) > 1


def test_a_prompt_that_is_written_meanwhile_keeps_its_control_tokens(qwen):
    """Ranking changes no setting of the tokenizer that other threads write prompts with."""
    turn = "<|im_start|>user\nHi<|im_end|>\n"
    before = qwen.tokenizer.backend_tokenizer.encode(turn).ids
    continuation_ids(qwen.tokenizer, Rank(("yes", "no")))
    assert qwen.tokenizer.backend_tokenizer.encode(turn).ids == before
    assert not qwen.tokenizer.backend_tokenizer.encode_special_tokens
