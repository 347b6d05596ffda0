"""What the engine tells a trace: each request's stages on its own row, the model's steps on the engine's."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from contextlib import aclosing
from itertools import pairwise

import pytest

from fourways import trace
from fourways.core.conversation import Conversation
from fourways.core.events import STAGES
from fourways.core.request import Generate

WANTED = Generate(6, ignore_eos=True)
PROGRAM, REQUESTS = 1, 2


class Traced:
    """trace.json, by row. spans: request's label → its spans in order."""

    def __init__(self, folder):
        told = json.loads((folder / "trace.json").read_text())
        assert told["otherData"]["dropped"] == 0
        self.events = told["traceEvents"]
        rows = {(e["pid"], e["tid"]): e["args"]["name"] for e in self.events if e["name"] == "thread_name"}
        self.spans = defaultdict(list)
        for event in self.events:
            if event["ph"] == "X":
                # What overlaps without nesting, as `deliver` may, is drawn on a further row of the same request.
                self.spans[rows[event["pid"], event["tid"]].partition(" [")[0]].append(event)
        self.instants = Counter(event["name"] for event in self.events if event["ph"] == "i")

    def of_requests(self):
        return {label: spans for label, spans in self.spans.items() if any(s["pid"] == REQUESTS for s in spans)}


async def test_each_request_has_its_stages_on_a_row_of_its_own(family, serve, ask, reply, pictures, tmp_path):
    async with serve(family) as engine:
        asked = [ask(Conversation.ask(f"What is it, {n}?", picture), WANTED) for n, picture in enumerate(pictures)]
        with trace.recording(tmp_path):
            replies = await asyncio.gather(*(reply(engine, one) for one in asked))
    found = Traced(tmp_path)
    assert set(found.of_requests()) == {f"tiny {one.id}" for one in asked}
    for one, got in zip(asked, replies, strict=True):
        stages = [span for span in found.spans[f"tiny {one.id}"] if span["name"] in STAGES]
        stages.sort(key=lambda span: span["ts"])
        for stage, milliseconds in got.done.stages_ms.items():
            told = sum(span["dur"] for span in stages if span["name"] == stage) / 1e3
            assert told == pytest.approx(milliseconds, abs=1e-3), stage
        ends = [round(span["ts"] + span["dur"], 3) for span in stages]
        assert ends[:-1] == [round(span["ts"], 3) for span in stages][1:], "no gaps, nothing twice"
        assert "deliver" in {span["name"] for span in found.spans[f"tiny {one.id}"]}


async def test_the_models_passes_stand_on_the_engines_row(qwen, serve, ask, reply, pictures, tmp_path):
    async with serve(qwen) as engine:
        with trace.recording(tmp_path):
            asked = [ask(Conversation.ask(f"What is it, {n}?", pictures[n]), WANTED) for n in range(3)]
            await asyncio.gather(*(reply(engine, one) for one in asked))
        counts = engine.counters()
    found = Traced(tmp_path)
    assert found.instants["forward_start"] == found.instants["forward_end"] == counts["prefill_batches"]
    assert found.instants["vision_encode_start"] == found.instants["vision_encode_end"] >= 1
    (row,) = {label for label, spans in found.spans.items() if any(s["name"].startswith("decode of") for s in spans)}
    assert row.startswith("fourways-model qwen-vl")
    passes = [s for s in found.spans[row] if s["name"].startswith(("decode of", "prefill of", "encode of"))]
    assert all(one["ts"] + one["dur"] <= other["ts"] for one, other in pairwise(passes)), "one thing at a time"


async def test_decode_steps_in_a_row_with_one_batch_are_one_span(qwen, serve, ask, reply, pictures, tmp_path):
    async with serve(qwen) as engine:
        with trace.recording(tmp_path):
            for n in range(2):
                await reply(engine, ask(Conversation.ask("What is it?", pictures[n]), WANTED))
                await asyncio.sleep(0.05)
    found = Traced(tmp_path)
    (row,) = {label for label, spans in found.spans.items() if any(s["name"].startswith("decode of") for s in spans)}
    decodes = [span for span in found.spans[row] if span["name"] == "decode of 1"]
    assert len(decodes) == 2
    assert decodes[1]["ts"] - (decodes[0]["ts"] + decodes[0]["dur"]) >= 50_000, (
        "it ends with the reply, not with the next"
    )


async def test_a_request_that_was_given_up_shows_how_far_it_came(qwen, serve, ask, reply, pictures, tmp_path):
    async with serve(qwen) as engine:
        with trace.recording(tmp_path):
            given_up = ask(Conversation.ask("What is it?", pictures[0]), Generate(60, ignore_eos=True))
            async with aclosing(engine.stream(given_up)) as items:
                await anext(items)
            await reply(engine, ask(Conversation.ask("And this?", pictures[1]), WANTED))
    stages = [span["name"] for span in Traced(tmp_path).spans[f"tiny {given_up.id}"] if span["name"] in STAGES]
    assert {"preprocess", "vision_encode", "prefill"} < set(stages) and stages.count("decode") == 1


async def test_memory_that_is_taken_and_given_back_is_told(qwen, serve, ask, reply, pictures, tmp_path):
    async with serve(qwen) as engine:
        with trace.recording(tmp_path):
            await reply(engine, ask(Conversation.ask("What is it?", pictures[0]), WANTED))
            counts = engine.counters()
            await engine.clear_caches()
    found = Traced(tmp_path)
    told = [e["args"]["tensor_alloc_bytes"] for e in found.events if e["ph"] == "i" and e["name"].endswith("_alloc")]
    assert {"kv_cache_alloc", "feature_cache_alloc", "prefix_cache_alloc"} <= set(found.instants)
    assert max(told) == counts["kv_bytes"] + counts["feature_bytes"] + counts["prefix_bytes"]
    assert found.instants["feature_cache_free"] == found.instants["prefix_cache_free"] == 1


async def test_steps_without_a_recorded_request_leave_nothing(qwen, serve, ask, reply, pictures, tmp_path):
    async with serve(qwen) as engine:
        with trace.recording(tmp_path, share=0.0):
            await reply(engine, ask(Conversation.ask("What is it?", pictures[0]), WANTED))
    found = Traced(tmp_path)
    assert not found.of_requests() and "forward_start" not in found.instants
