"""Questions that begin alike read their beginning once, an answer of one token costs one pass; no answer changes."""

from __future__ import annotations

import asyncio

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fourways.core.conversation import Conversation
from fourways.core.request import Generate, Rank
from fourways.engines.local.prefix import PrefixCache, common
from fourways.engines.local.rank import continuation_ids

OPTIONS = ("a red circle", "a blue square", "nothing at all", "a green cross on the left")
QUESTION = "Which of these stands in the middle of the picture, if anything does, and is larger than all the others?"


def _rotations(picture, question=QUESTION):
    for k in range(4):
        turned = OPTIONS[k:] + OPTIONS[:k]
        listed = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", turned, strict=True))
        yield Conversation.ask(f"{question}\n{listed}\nAnswer with the letter.", picture)


class Passes:
    """Counts the family's forward passes and their tokens, padding included."""

    def __init__(self, family, monkeypatch):
        self.count = self.tokens = 0
        forward = family.forward

        def counted(embeds, *rest):
            self.count += 1
            self.tokens += embeds.shape[0] * embeds.shape[1]
            return forward(embeds, *rest)

        monkeypatch.setattr(family, "forward", counted)


async def test_rotations_share_their_question_and_answer_as_they_do_alone(family, serve, ask, reply, pictures):
    asked = [c for n in range(3) for c in _rotations(pictures[n])]
    wanted = Generate(6)
    async with serve(family, max_batch=1, feature_cache_bytes=0, prefix_cache_bytes=0) as alone:
        expected = [await reply(alone, ask(c, wanted)) for c in asked]
    async with serve(family) as engine:
        got = await asyncio.gather(*(reply(engine, ask(c, wanted)) for c in asked))
        kept = engine.counters()["prefix_bytes"] // family.spec.kv_bytes_per_token
    assert [r.tokens for r in got] == [r.tokens for r in expected]
    layouts = [family.layout(c) for c in asked[::4]]
    visual = sum(int(layout.visual_mask.nonzero()[-1]) + 1 for layout in layouts)
    question = len(family.tokenizer(QUESTION)["input_ids"])
    assert kept > visual + len(layouts) * question * 0.8  # the beginnings that are kept reach into the text


async def test_a_prompt_that_nobody_follows_keeps_its_visuals_alone(qwen, serve, ask, reply, pictures):
    conversation = next(_rotations(pictures[0]))
    async with serve(qwen) as engine:
        await reply(engine, ask(conversation, Generate(2)))
        kept = engine.counters()["prefix_bytes"] // qwen.spec.kv_bytes_per_token
        again = await reply(engine, ask(conversation, Generate(2)))
    assert kept == int(qwen.layout(conversation).visual_mask.nonzero()[-1]) + 1
    assert again.done.visuals[0].cached


async def test_two_questions_about_a_picture_have_a_beginning_each(qwen, serve, ask, reply, pictures, monkeypatch):
    other = "What would somebody who stood behind the picture and looked at it from there see first of all, and why?"
    asked = [*_rotations(pictures[1]), *_rotations(pictures[1], other)]
    async with serve(qwen, max_batch=1, feature_cache_bytes=0, prefix_cache_bytes=0) as alone:
        expected = [await reply(alone, ask(c, Generate(4))) for c in asked]
    passes = Passes(qwen, monkeypatch)
    async with serve(qwen) as engine:
        got = await asyncio.gather(*(reply(engine, ask(c, Generate(4))) for c in asked))
        assert engine.counters()["prefix_items"] >= 2
    assert [r.tokens for r in got] == [r.tokens for r in expected]
    assert passes.tokens < 0.7 * sum(len(qwen.layout(c).token_ids) + 3 for c in asked)


async def test_a_reply_of_one_token_costs_one_forward_pass(family, serve, ask, reply, pictures, monkeypatch):
    passes = Passes(family, monkeypatch)
    async with serve(family) as engine:
        got = await reply(engine, ask(Conversation.ask("Which?", pictures[0]), Generate(1)))
        assert got.done.error is None and passes.count == 1
        assert engine.counters()["decode_steps"] == 0


async def test_a_choice_between_single_tokens_costs_one_forward_pass(family, serve, ask, reply, pictures, monkeypatch):
    singles = [
        text for text in _words(family.tokenizer) if len(continuation_ids(family.tokenizer, Rank((text,)))[0]) == 1
    ]
    passes = Passes(family, monkeypatch)
    async with serve(family) as engine:
        got = await reply(engine, ask(Conversation.ask("Which?", pictures[0]), Rank(tuple(singles[:4]))))
        assert len(got.done.rank_logprobs) == 4 and passes.count == 1


def _words(tokenizer):
    return (tokenizer.decode([token]).strip() or "?" for token in range(min(600, len(tokenizer))))


async def test_the_ends_of_replies_are_one_step_for_all_of_them(qwen, serve, ask, reply, pictures, monkeypatch):
    passes = Passes(qwen, monkeypatch)
    async with serve(qwen) as engine:
        await asyncio.gather(
            *(
                reply(engine, ask(Conversation.ask(f"{n}?", pictures[0]), Generate(2, ignore_eos=True)))
                for n in range(9)
            )
        )
        steps = engine.counters()["decode_steps"]
    assert steps <= 4 and passes.count <= steps + 5


TAILS = st.lists(st.integers(0, 3), min_size=0, max_size=12)


@given(TAILS, TAILS)
def test_what_two_texts_have_in_common_ends_where_they_part(one, other):
    count = common(_tail(one), _tail(other))
    assert one[:count] == other[:count]
    assert count == min(len(one), len(other)) or one[count] != other[count]


@given(st.lists(TAILS, min_size=1, max_size=6), TAILS, st.integers(100, 4000))
def test_the_longest_known_beginning_is_found_whatever_was_evicted(stored, asked, bound):
    cache = PrefixCache(bound)
    for number, tokens in enumerate(stored):
        cache.keep(KEY, _tail(tokens), torch.full((2, 1, 1, len(tokens) + 5, 4), float(number)))
    left = {name for _, name in cache._items}
    found = cache.longest(KEY, 5, _tail(asked))
    if not left:
        assert found is None
        return
    best = max(common(np.frombuffer(name, np.int64).reshape(2, -1), _tail(asked)) for name in left)
    assert found is not None and found.shape[3] == 5 + best


def test_no_more_beginnings_are_kept_than_the_cache_may_hold():
    cache = PrefixCache(1 << 20, max_items=3)
    for number in range(5):
        cache.keep((None, b"", b"", (str(number),)), _tail([number]), torch.zeros(2, 1, 1, 6, 4))
    held = [cache.longest((None, b"", b"", (str(number),)), 5, _tail([number])) is not None for number in range(5)]
    assert held == [False, False, True, True, True]
    assert cache.counters()["items"] == 3 and cache.counters()["evictions"] == 2


KEY = (None, b"", b"", ("unit",))


def _tail(tokens):
    return np.array([tokens, range(len(tokens))], dtype=np.int64).reshape(2, -1)
