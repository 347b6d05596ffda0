"""Nobody waits for ever: not when the engine closes, not when its thread breaks, not when a step fails halfway."""

from __future__ import annotations

import asyncio

import pytest
import torch

from fourways.core.conversation import Conversation
from fourways.core.errors import EngineError
from fourways.core.request import Generate, Rank
from fourways.engines.local import kv, worker

ENDLESS = Generate(4000, ignore_eos=True)


async def test_closing_ends_those_that_wait_to_be_let_in_as_well(qwen, serve, ask, reply, pictures):
    async with serve(qwen, max_batch=1) as engine, asyncio.timeout(60):
        requests = [ask(Conversation.ask(f"{n}?", pictures[0]), ENDLESS) for n in range(8)]
        tasks = [asyncio.create_task(reply(engine, request)) for request in requests]
        while engine.counters()["running"] == 0:
            await asyncio.sleep(0.001)
        await engine.close()
        got = await asyncio.gather(*tasks)
    assert {one.done.finish_reason for one in got} == {"cancelled"}


async def test_a_thread_that_breaks_says_so_to_all_and_refuses_what_comes_later(
    qwen, serve, ask, reply, pictures, monkeypatch
):
    def lost(*_: object) -> None:
        raise RuntimeError("the device is lost")

    async with serve(qwen, max_batch=1) as engine, asyncio.timeout(60):
        requests = [ask(Conversation.ask(f"{n}?", pictures[0]), ENDLESS) for n in range(6)]
        tasks = [asyncio.create_task(reply(engine, request)) for request in requests]
        while engine.counters()["running"] == 0:
            await asyncio.sleep(0.001)
        monkeypatch.setattr(worker.Worker, "_iterate", lost)
        monkeypatch.setattr(kv.KVStore, "reset", lost)
        got = await asyncio.gather(*tasks)
        late = await reply(engine, ask(Conversation.ask("And now?"), Generate(1)))
        assert all("the engine has stopped" in one.done.error and one.done.hint for one in (*got, late))
        assert "the device is lost" in late.done.error
        with pytest.raises(EngineError):
            async with engine.borrow():
                pass


async def test_a_fault_of_the_engine_costs_what_it_had_in_hand_and_no_more(
    qwen, serve, ask, reply, pictures, monkeypatch
):
    original = worker.Worker._decode
    left = [1]

    def once(self) -> None:
        if left:
            left.pop()
            raise AssertionError("out of step")
        original(self)

    async with serve(qwen) as engine, asyncio.timeout(60):
        monkeypatch.setattr(worker.Worker, "_decode", once)
        first = await reply(engine, ask(Conversation.ask("A?", pictures[0]), Generate(4, ignore_eos=True)))
        again = await reply(engine, ask(Conversation.ask("A?", pictures[0]), Generate(4, ignore_eos=True)))
    assert "out of step" in first.done.error
    assert again.done.error is None and len(again.tokens) == 4


async def test_no_room_to_keep_a_prefix_fails_that_request_and_leaves_the_rows_in_step(
    qwen, serve, ask, reply, pictures, monkeypatch
):
    original = kv.KVStore.read
    left = [1] * 4

    def no_room(self, row, length):
        if left:
            left.pop()
            raise torch.OutOfMemoryError("no room")
        return original(self, row, length)

    async with serve(qwen) as engine, asyncio.timeout(60):
        monkeypatch.setattr(kv.KVStore, "read", no_room)
        asked = [ask(Conversation.ask("What?", picture), Generate(6, ignore_eos=True)) for picture in pictures]
        got = await asyncio.gather(*(reply(engine, request) for request in asked))
        assert any(one.done.error is not None and "out of memory" in one.done.error for one in got)
        again = await asyncio.gather(*(reply(engine, request) for request in asked))
        assert all(one.done.error is None and len(one.tokens) == 6 for one in again)
        assert engine.counters()["running"] == 0


async def test_an_infinity_in_a_ranked_continuation_stays_with_it(qwen, serve, ask, reply, pictures, monkeypatch):
    """A longer request runs beside them, so that the short ones' rows are read as far as ranking wrote in them."""
    family = type(qwen)
    original = family.embed_tokens
    poison = qwen.tokenizer.encode("no", add_special_tokens=False)[0]

    def embed_tokens(self, token_ids):
        embeds = original(self, token_ids)
        if token_ids.ndim == 2 and token_ids.shape[1] > 1:  # continuations, and nothing else, come so
            embeds = embeds.masked_fill((token_ids == poison)[..., None], torch.inf)
        return embeds

    async with serve(qwen) as engine, asyncio.timeout(60):
        short = [ask(Conversation.ask("Hi?"), Generate(6, ignore_eos=True)) for _ in range(4)]
        expected = (await reply(engine, short[0])).tokens
        monkeypatch.setattr(family, "embed_tokens", embed_tokens)
        long = engine.stream(ask(Conversation.ask("word " * 200, pictures[0]), ENDLESS))
        await anext(long)
        ranked = await reply(engine, ask(Conversation.ask("Which?", pictures[0]), Rank(("no, never", "no no no"))))
        got = await asyncio.gather(*(reply(engine, request) for request in short))
        await long.aclose()
    assert "not finite" in ranked.done.error
    assert [one.tokens for one in got] == [expected] * 4


async def test_a_loan_that_cannot_be_made_is_an_error_and_not_a_wait(qwen, serve, ask, reply, monkeypatch):
    async with serve(qwen) as engine, asyncio.timeout(60):
        with monkeypatch.context() as patch:

            def lost(*_: object) -> None:
                raise RuntimeError("the device is lost")

            patch.setattr(type(engine._adapters), "attach", lost)
            with pytest.raises(RuntimeError, match="the device is lost"):
                async with engine.borrow():
                    pass
        async with engine.borrow() as family:
            assert family is qwen
        assert (await reply(engine, ask(Conversation.ask("Hi?"), Generate(1)))).done.error is None
