"""Requests do not stand in each other's way, and a failure is its own request's."""

from __future__ import annotations

import asyncio
import gc
import itertools

import pytest
import torch

from fourways.core.conversation import Conversation
from fourways.core.errors import EngineError
from fourways.core.events import Done
from fourways.core.request import Generate, Rank

LONG = Generate(120, ignore_eos=True)
ENDLESS = Generate(4000, ignore_eos=True)


async def test_a_long_answer_never_blocks_a_short_one(qwen, serve, ask, reply, pictures):
    async with serve(qwen) as engine:
        stream = engine.stream(ask(Conversation.ask("Go on.", pictures[0]), ENDLESS))
        await anext(stream)
        short = [reply(engine, ask(Conversation.ask(f"Short {n}?", pictures[n]), Generate(3))) for n in range(4)]
        done = [one.done for one in await asyncio.gather(*short)]
        assert all(one.error is None for one in done)
        running = asyncio.create_task(_last(stream))
        await asyncio.sleep(0)
        assert engine.counters()["running"] == 1 and not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _last(stream):
    return [item async for item in stream][-1]


async def test_running_requests_go_on_while_new_ones_are_let_in(qwen, serve, ask, pictures):
    """Between two tokens of a running request at most one batch of new ones is prefilled."""
    async with serve(qwen, max_prefill_tokens=40) as engine:
        stream = engine.stream(ask(Conversation.ask("Go on.", pictures[0]), LONG))
        await anext(stream)
        others = [engine.stream(ask(Conversation.ask(f"{n}?", pictures[n % 5]), Generate(2))) for n in range(10)]
        waiting = asyncio.gather(*(anext(other) for other in others))
        before = engine.counters()
        seen = sum([len(item.token_ids) async for item in stream if not isinstance(item, Done)])
        after = engine.counters()
        await waiting
        for other in others:
            await other.aclose()
    batches = after["prefill_batches"] - before["prefill_batches"]
    assert batches >= 5 and batches <= after["decode_steps"] - before["decode_steps"] <= seen + 1


async def test_closing_a_stream_frees_its_place_at_once(qwen, serve, ask, reply, pictures):
    async with serve(qwen, max_batch=1) as engine:
        stream = engine.stream(ask(Conversation.ask("Go on.", pictures[0]), ENDLESS))
        await anext(stream)
        assert engine.counters()["running"] == 1
        await stream.aclose()
        steps = engine.counters()["decode_steps"]
        got = await reply(engine, ask(Conversation.ask("Next?", pictures[1]), Generate(3, ignore_eos=True)))
        assert len(got.tokens) == 3
        assert engine.counters()["decode_steps"] - steps <= 6


async def test_a_task_that_is_cancelled_while_it_waits_takes_no_place(qwen, serve, ask, reply, pictures):
    async with serve(qwen, max_batch=1) as engine:
        first = engine.stream(ask(Conversation.ask("Go on.", pictures[0]), ENDLESS))
        await anext(first)
        asked = (ask(Conversation.ask(f"{n}?", pictures[0]), Generate(1)) for n in itertools.count())
        tasks = [asyncio.create_task(reply(engine, next(asked))) for _ in range(12)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await first.aclose()
        got = await asyncio.gather(*(reply(engine, next(asked)) for _ in range(6)))
    assert all(one.done.error is None for one in got)


async def test_only_so_many_requests_are_inside_at_once(qwen, serve, ask, reply, pictures):
    async with serve(qwen, max_batch=2) as engine:
        requests = [ask(Conversation.ask(f"{n}?", pictures[n % 5]), Generate(2)) for n in range(40)]
        tasks = [asyncio.create_task(reply(engine, request)) for request in requests]
        most = 0
        while not all(task.done() for task in tasks):
            counters = engine.counters()
            most = max(most, counters["running"] + counters["waiting"])
            await asyncio.sleep(0)
        assert all(task.result().done.error is None for task in tasks)
    assert 0 < most <= 8


async def test_a_prompt_beyond_the_context_is_told_so(qwen, serve, ask, reply, pictures):
    async with serve(qwen) as engine:
        long = Conversation.ask("word " * 5000, pictures[0])
        got, fine = await asyncio.gather(
            reply(engine, ask(long, Generate(4))),
            reply(engine, ask(Conversation.ask("Fine?", pictures[0]), Generate(4))),
        )
        forced = await reply(engine, ask(Conversation.ask("?"), Generate(5000, ignore_eos=True)))
    assert got.done.finish_reason == forced.done.finish_reason == "error"
    assert "context is 4096" in got.done.error and "4096" in forced.done.error and got.done.hint
    assert fine.done.error is None


async def test_a_request_larger_than_the_memory_for_keys_and_values_is_told_so(qwen, serve, ask, reply):
    room = 100 * qwen.spec.kv_bytes_per_token
    async with serve(qwen, kv_bytes=room) as engine:
        big = await reply(engine, ask(Conversation.ask("?"), Generate(400, ignore_eos=True)))
        small = await asyncio.gather(*(reply(engine, ask(Conversation.ask("?"), Generate(3))) for _ in range(6)))
        assert engine.counters()["kv_bytes"] <= room
    assert "does not fit" in big.done.error and big.done.hint
    assert all(one.done.error is None for one in small)


@pytest.mark.parametrize(
    ("wanted", "plan", "said"),
    [
        (Generate(0), {}, "max_tokens"),
        (Rank(()), {}, "at least one"),
        (Rank(("a", "")), {}, "no tokens"),
        (Generate(2), {"adapter": "nobody"}, "nobody"),
        (Generate(2), {"visual_path": "projected"}, "projected"),
    ],
)
async def test_what_cannot_be_done_is_an_error_of_its_request(qwen, serve, ask, reply, wanted, plan, said):
    async with serve(qwen) as engine:
        got = await reply(engine, ask(Conversation.ask("?"), wanted, **plan))
        fine = await reply(engine, ask(Conversation.ask("?"), Generate(2)))
    assert got.done.finish_reason == "error" and said in got.done.error
    assert fine.done.error is None


class _Fault:
    """A hook on the model that fails while a certain token is in the input."""

    def __init__(self, family, token: int, error: Exception | None) -> None:
        self.calls = 0
        embedding = family.module.get_input_embeddings()
        mark = embedding.weight[token].detach()

        def hook(module, args, kwargs):
            embeds = kwargs["inputs_embeds"]
            hit = (embeds == mark).all(dim=-1)
            if not hit.any():
                return None
            self.calls += 1
            if error is not None:
                raise error
            return args, {**kwargs, "inputs_embeds": embeds.masked_fill(hit[..., None], float("nan"))}

        self.handle = family.module.model.language_model.register_forward_pre_hook(hook, with_kwargs=True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("shape mismatch\nsecond line"), "the model failed: RuntimeError: shape mismatch"),
        (torch.OutOfMemoryError("tried to allocate 20 GiB"), "out of memory: tried to allocate 20 GiB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (None, "not finite"),
    ],
)
async def test_a_failing_request_harms_no_neighbour(qwen, serve, ask, reply, pictures, error, said):
    guilty = Conversation.ask("§", pictures[0])
    innocent = [Conversation.ask(f"Question {n}", pictures[n]) for n in range(5)]
    token = next(i for i in qwen.layout(guilty).token_ids.tolist() if all(
        i not in qwen.layout(other).token_ids.tolist() for other in innocent))  # fmt: skip
    async with serve(qwen, prefix_cache_bytes=0) as engine:
        expected = [(await reply(engine, ask(c, Generate(6)))).tokens for c in innocent]
        fault = _Fault(qwen, token, error)
        try:
            got = await asyncio.gather(*(reply(engine, ask(c, Generate(6))) for c in (guilty, *innocent, guilty)))
        finally:
            fault.handle.remove()
        again = await asyncio.gather(*(reply(engine, ask(c, Generate(6))) for c in innocent))
    assert fault.calls >= 2
    for one in (got[0], got[-1]):
        assert one.done.finish_reason == "error" and said in one.done.error
        assert "second line" not in one.done.error
    assert [one.tokens for one in got[1:-1]] == [one.tokens for one in again] == expected


async def test_an_encoder_that_fails_on_one_image_answers_the_others(qwen, serve, ask, reply, pictures, monkeypatch):
    original = type(qwen).encode
    bad = {unit.key for unit in qwen.preprocess(pictures[3])}

    def encode(self, units):
        if any(unit.key in bad for unit in units):
            raise RuntimeError("the tower broke")
        return original(self, units)

    monkeypatch.setattr(type(qwen), "encode", encode)
    async with serve(qwen) as engine:
        got = await asyncio.gather(*(reply(engine, ask(Conversation.ask("?", p), Generate(2))) for p in pictures))
    errors = [one.done.error for one in got]
    assert [error is None for error in errors] == [True, True, True, False, True]
    assert "the tower broke" in errors[3]


async def test_closing_ends_what_runs_as_cancelled_and_refuses_new_requests(qwen, serve, ask, reply, pictures):
    async with serve(qwen) as engine:
        conversation = Conversation.ask("Go on.", pictures[0])
        running = asyncio.create_task(reply(engine, ask(conversation, ENDLESS)))
        while engine.counters()["running"] == 0:
            await asyncio.sleep(0.001)
        await engine.close()
        assert (await running).done.finish_reason == "cancelled"
        with pytest.raises(EngineError):
            await reply(engine, ask(conversation, Generate(1)))


async def test_memory_does_not_grow_with_the_number_of_requests(qwen, serve, ask, reply, pictures):
    async with serve(qwen, feature_cache_bytes=4000, prefix_cache_bytes=20_000) as engine:

        def live() -> int:
            """Bytes of all tensors but the rows of running requests, whose number depends on who met whom."""
            gc.collect()
            tensors = (t for t in gc.get_objects() if type(t) is torch.Tensor)
            return sum(t.numel() * t.element_size() for t in tensors) - engine.counters()["kv_bytes"]

        async def some(count: int) -> None:
            await asyncio.gather(
                *(reply(engine, ask(Conversation.ask(f"{n}?", pictures[n % 5]), Generate(3))) for n in range(count))
            )

        await some(40)
        after_few = live()
        for _ in range(4):
            await some(40)
        assert live() <= after_few + 30_000
        counters = engine.counters()
        assert counters["feature_bytes"] <= 4000 and counters["prefix_bytes"] <= 20_000


async def test_cleared_caches_are_cold(qwen, serve, ask, reply, pictures):
    conversation = Conversation.ask("?", pictures[0])
    async with serve(qwen) as engine:
        await reply(engine, ask(conversation, Generate(1)))
        assert (await reply(engine, ask(conversation, Generate(1)))).done.visuals[0].cached
        await engine.clear_caches()
        assert engine.counters()["feature_bytes"] == engine.counters()["prefix_bytes"] == 0
        assert not (await reply(engine, ask(conversation, Generate(1)))).done.visuals[0].cached


async def test_the_thread_count_is_measured_and_recorded(qwen, serve):
    async with serve(qwen, threads=None) as engine:
        settings = engine.info.settings
    assert int(settings["threads"]) >= 1 and settings["threads_measured"]
    assert settings["dtype"] == "float32" and settings["device"] == "cpu"


async def test_caches_that_are_cleared_at_the_worst_moment_harm_nobody(qwen, serve, ask, reply, pictures, monkeypatch):
    both = Conversation.ask("Which?", pictures[0], pictures[1])
    original, engines = type(qwen).encode, []

    def encode(self, units):
        for engine in engines:
            engine._features.clear()
            engine._prefixes.clear()
        return original(self, units)

    async with serve(qwen) as engine:
        expected = await reply(engine, ask(both, Generate(5)))
        await engine.clear_caches()
        monkeypatch.setattr(type(qwen), "encode", encode)
        engines.append(engine)
        first = ask(Conversation.ask("What?", pictures[0]), Generate(1))
        got = await asyncio.gather(reply(engine, first), reply(engine, ask(both, Generate(5))))
        engines.clear()
        await reply(engine, first)
        engines.append(engine)
        later = await reply(engine, ask(both, Generate(5)))
    assert got[0].done.error is None
    assert got[1].tokens == later.tokens == expected.tokens
