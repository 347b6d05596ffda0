"""A request's stages, told by the trace and told by the engine, are the same."""

from __future__ import annotations

import asyncio

import pytest

from fourways import trace
from fourways.core.conversation import Conversation
from fourways.core.request import Generate
from fourways.trace.reading import stages_ms


async def test_the_trace_and_the_engine_tell_the_same_stages(qwen, serve, ask, reply, pictures, tmp_path):
    async with serve(qwen) as engine:
        asked = [ask(Conversation.ask(f"What is it, {n}?", picture), Generate(6)) for n, picture in enumerate(pictures)]
        with trace.recording(tmp_path):
            replies = await asyncio.gather(*(reply(engine, one) for one in asked))
    told = stages_ms(tmp_path / "trace.json")
    for one, got in zip(asked, replies, strict=True):
        spent = {stage: ms for stage, ms in got.done.stages_ms.items() if ms}
        assert told[f"tiny {one.id}"] == {stage: pytest.approx(ms, abs=1e-6) for stage, ms in spent.items()}
