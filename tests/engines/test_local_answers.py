"""The engine's answers are the model's: whatever runs beside a request, and whatever was cached before it."""

from __future__ import annotations

import asyncio
import random

import pytest

from fourways.core.conversation import Conversation, Text, Turn
from fourways.core.request import Generate

QUESTIONS = ("What is this?", "How many?", "Where is the red one, and what stands beside it in this picture?", "Color?")


def _conversations(pictures, count=12):
    single = [Conversation.ask(QUESTIONS[n % 4], pictures[n // 4 % len(pictures)]) for n in range(count)]
    two = Conversation.ask("Which differs?", pictures[0], pictures[2], system="Be short.")
    later = Conversation(
        (
            Turn("user", (pictures[1], Text("What?"))),
            Turn("assistant", (Text("A picture."),)),
            Turn("user", (Text("And now?"),)),
        )
    )
    return [*single, two, later, Conversation.ask("No picture at all.")]


async def test_tokens_are_those_of_generate_however_many_run_together(family, serve, ask, reply, reference, pictures):
    wanted = Generate(max_tokens=9)
    conversations = _conversations(pictures)
    async with serve(family) as engine:
        replies = await asyncio.gather(*(reply(engine, ask(c, wanted)) for c in conversations))
    for conversation, got in zip(conversations, replies, strict=True):
        assert got.done.error is None
        assert reference.same(family, conversation, wanted, got.tokens)


async def test_a_batch_of_many_gives_what_a_batch_of_one_gives(family, serve, ask, reply, pictures):
    conversations = _conversations(pictures)
    async with serve(family, max_batch=1, feature_cache_bytes=0, prefix_cache_bytes=0) as alone:
        expected = [await reply(alone, ask(c, Generate(6))) for c in conversations]
    async with serve(family) as together:
        got = await asyncio.gather(*(reply(together, ask(c, Generate(6))) for c in conversations))
    assert [r.tokens for r in got] == [r.tokens for r in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.done.mean_logprob == pytest.approx(other.done.mean_logprob, abs=1e-4)


async def test_cached_features_and_prefixes_give_what_fresh_ones_give(family, serve, ask, reply, pictures):
    conversation = Conversation.ask("What is this?", pictures[0])
    async with serve(family, prefix_cache_bytes=0) as features_only, serve(family) as both:
        fresh = await reply(features_only, ask(conversation, Generate(8)))
        features = await reply(features_only, ask(conversation, Generate(8)))
        await reply(both, ask(Conversation.ask("Another question first.", pictures[0]), Generate(2)))
        prefix = await reply(both, ask(conversation, Generate(8)))
        assert features_only.counters()["encoded_units"] == both.counters()["encoded_units"]
        assert both.counters()["prefix_hits"] == 1
    assert fresh.tokens == features.tokens == prefix.tokens
    flags = [r.done.visuals[0].cached for r in (fresh, features, prefix)]
    assert flags == [False, True, True]


async def test_an_image_asked_about_many_times_at_once_is_encoded_once(family, serve, ask, reply, pictures):
    async with serve(family) as engine:
        await asyncio.gather(
            *(reply(engine, ask(Conversation.ask(f"Question {n}?", pictures[3]), Generate(2))) for n in range(8))
        )
        counters = engine.counters()
    assert counters["encoded_units"] == len(family.layout(Conversation.ask("?", pictures[3])).visuals[0].unit_keys)
    assert (counters["prefix_misses"], counters["prefix_hits"]) == (1, 7)


@pytest.mark.parametrize("seed", range(4))
async def test_random_arrivals_and_cancellations_change_no_answer(seed, qwen, serve, ask, reply, pictures):
    rng = random.Random(seed)
    conversations = _conversations(pictures)
    wanted = [Generate(rng.randint(1, 12)) for _ in conversations]
    async with serve(qwen, max_batch=1, feature_cache_bytes=0, prefix_cache_bytes=0) as alone:
        expected = [(await reply(alone, ask(c, w))).tokens for c, w in zip(conversations, wanted, strict=True)]
    small = {"max_batch": 4, "max_prefill_tokens": 120, "feature_cache_bytes": 3000, "prefix_cache_bytes": 9000}
    async with serve(qwen, **small) as engine:

        async def run(n: int) -> list[int] | None:
            await asyncio.sleep(rng.random() * 0.1)
            stop_after = rng.randint(0, 3) if rng.random() < 0.35 else None
            tokens: list[int] = []
            stream = engine.stream(ask(conversations[n], wanted[n]))
            async for item in stream:
                tokens += getattr(item, "token_ids", None) or ()
                if stop_after is not None and len(tokens) >= stop_after:
                    await stream.aclose()
                    return None
            return tokens

        order = [*range(len(conversations))] * 2
        rng.shuffle(order)
        got = await asyncio.gather(*(run(n) for n in order))
        await reply(engine, ask(conversations[0], Generate(1)))
        assert engine.counters()["running"] == engine.counters()["waiting"] == 0
    assert all(tokens is None or tokens == expected[n] for n, tokens in zip(order, got, strict=True))
    assert sum(tokens is not None for tokens in got) > len(order) // 3


async def test_penalties_and_a_least_length_work_as_in_generate(family, serve, ask, reply, reference, pictures):
    conversation = Conversation.ask("Describe.", pictures[2])
    async with serve(family) as engine:
        for wanted in (Generate(8, repetition_penalty=1.3), Generate(8, min_tokens=8), Generate(8, ignore_eos=True)):
            got = await reply(engine, ask(conversation, wanted))
            assert reference.same(family, conversation, wanted, got.tokens)


async def test_text_only_leaves_the_visuals_out(qwen, serve, ask, reply, reference, pictures):
    seen = Conversation.ask("Really?", pictures[0])
    async with serve(qwen) as engine:
        got = await reply(engine, ask(seen, Generate(5), visual_path="text_only"))
    assert got.done.visuals == () and got.done.usage.visual_tokens == 0
    assert reference.same(qwen, Conversation.ask("Really?"), Generate(5), got.tokens)


async def test_usage_geometry_and_stages_are_told(family, serve, ask, reply, pictures):
    conversation = Conversation.ask("Describe.", pictures[1])
    layout = family.layout(conversation)
    async with serve(family) as engine:
        got = await reply(engine, ask(conversation, Generate(5, ignore_eos=True)))
    done = got.done
    assert done.finish_reason == "length" and len(got.tokens) == 5
    assert done.usage.prompt_tokens == len(layout.token_ids)
    assert done.usage.visual_tokens == int(layout.visual_mask.sum())
    assert done.usage.completion_tokens == 5
    assert done.visuals[0] == layout.visuals[0].geometry
    assert set(done.stages_ms) == {"preprocess", "queue", "vision_encode", "project", "prefill", "decode", "detokenize"}
    assert all(value >= 0 for value in done.stages_ms.values())
    times = [event.time_ns for event in got.events] + [done.time_ns]
    assert times == sorted(times)


async def test_a_smaller_visual_budget_is_kept(qwen, serve, ask, reply, pictures):
    conversation = Conversation.ask("Describe.", pictures[2])
    async with serve(qwen) as engine:
        wide = await reply(engine, ask(conversation, Generate(1)))
        narrow = await reply(engine, ask(conversation, Generate(1), visual_budget=6))
    assert narrow.done.usage.visual_tokens <= 6 < wide.done.usage.visual_tokens
    async with serve(qwen, visual_budget=6) as engine:
        by_default = await reply(engine, ask(conversation, Generate(1)))
    assert by_default.done.visuals == narrow.done.visuals
