"""In fp32 an embedded model behind a real vLLM gives the local engine's tokens."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from PIL import Image as Pil

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation, Image, Text, Turn
from fourways.core.engine import Engine
from fourways.core.events import Done
from fourways.core.request import Generate, Plan, Request
from fourways.engines import LocalEngine
from fourways.engines.openai import open_openai_engine
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.hub import look
from fourways.media import read_image
from fourways.zoo import NAMES, distinct_scenes

TIE = 1e-4
RESIZED_TIE = 5e-3
"""vLLM's image processors resize through torchvision, the families' through Pillow: 0.4 to 0.7 % of the resized values
come out one 8-bit level apart, which was seen to move a reply's mean log-probability by up to 1.6e-3."""
QUESTIONS = (
    "Describe the image.",
    "How many objects are there? Answer the question using a single word or phrase.",
    "What colour is the top left object?",
    "左上角的物体是什么颜色？请直接回答选项字母。",
    "Please provide the bounding box coordinate of the region this sentence describes: the red circle",
)


@dataclass
class Served:
    """One embedded model, loaded here and served there."""

    name: str
    url: str
    family: Family


@pytest.fixture(scope="module", params=NAMES)
def served(request: pytest.FixtureRequest, embedded_in_vllm: Mapping[str, Any]) -> Served:
    server = embedded_in_vllm[request.param]
    found = look(server.folder)
    family = find_family(found.architecture).load(found, dtype="float32", device="cpu")
    return Served(request.param, server.url, family)


def pictures(count: int) -> list[Image]:
    """Scenes of all four layouts; every fourth one resized (so that preprocessing has to) and stored in another way."""
    made = []
    for index, source in enumerate(distinct_scenes(count, seed=11)):
        if index % 4 == 3:
            scene = Pil.open(io.BytesIO(source)).convert("RGB")
            scene = scene.resize((scene.width * 5 // 3, scene.height * 7 // 6))
            exif = scene.getexif()
            exif[0x0112] = 6
            out = io.BytesIO()
            kind, options = [("JPEG", {}), ("WEBP", {}), ("JPEG", {"exif": exif})][index // 4 % 3]
            scene.save(out, kind, **options)
            source = out.getvalue()
        made.append(read_image(source, name=f"scene {index}"))
    return made


def requests(count: int = 24) -> list[Request]:
    """All kinds of questions; every sixth of them with two pictures and a history."""
    images = pictures(count)
    made = []
    for index, image in enumerate(images):
        question = QUESTIONS[index % len(QUESTIONS)]
        conversation = Conversation.ask(question, image)
        if index % 6 == 5:
            conversation = with_history(images[index - 1], image, question)
        made.append(Request(f"q{index}", conversation, Plan("c"), Generate(32)))
    return made


def with_history(first: Image, second: Image, question: str) -> Conversation:
    return Conversation(
        (
            Turn("system", (Text("You look at pictures."),)),
            Turn("user", (first, Text("What is this?"))),
            Turn("assistant", (Text("A picture of shapes."),)),
            Turn("user", (second, Text(question))),
        )
    )


async def tokens(engine: Engine, request: Request) -> tuple[list[int], str, Done]:
    ids: list[int] = []
    text = ""
    async for item in engine.stream(request):
        if isinstance(item, Done):
            assert item.error is None, item.error
            return ids, text, item
        assert item.token_ids is not None
        ids.extend(item.token_ids)
        text += item.text
    raise AssertionError("no Done")


async def all_tokens(engine: Engine, asked: Sequence[Request]) -> list[tuple[list[int], str, Done]]:
    try:
        return list(await asyncio.gather(*(tokens(engine, request) for request in asked)))
    finally:
        await engine.close()


def gap(family: Family, request: Request, before: Sequence[int]) -> float:
    """Between the two best logits after `before` of the reply: a plain forward pass over everything."""
    with torch.inference_mode():
        layout = family.layout(request.conversation)
        visuals = []
        for plan, visual in zip(layout.visuals, request.conversation.visuals, strict=True):
            visuals.append(family.assemble(plan, family.encode(family.preprocess(visual))))
        prompt = family.embed(layout, visuals).embeds
        reply = family.embed_tokens(torch.tensor(list(before), dtype=torch.long))
        embeds = torch.cat([prompt, reply.to(prompt.dtype)])[None]
        after = torch.arange(layout.next_position, layout.next_position + len(before))
        positions = torch.cat([layout.positions, after.expand(layout.positions.shape[0], -1)], dim=1)[:, None]
        length = embeds.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        best = family.logits(family.forward(embeds, positions, mask, None)[0, -1:])[0].topk(2).values
    return float(best[0] - best[1])


@pytest.mark.timeout(900)
def test_vllm_gives_the_local_engines_tokens(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    asked = requests()

    async def run() -> tuple[list[tuple[list[int], str, Done]], list[tuple[list[int], str, Done]]]:
        here = await all_tokens(LocalEngine(served.family, threads=1), asked)
        there = await all_tokens(await open_openai_engine(Candidate("v", url=served.url)), asked)
        return here, there

    here, there = asyncio.run(run())
    different, ties = [], []
    for request, (ids, text, done), (other_ids, other_text, other) in zip(asked, here, there, strict=True):
        assert done.usage.prompt_tokens == other.usage.prompt_tokens, request.id
        if ids == other_ids:
            assert text == other_text and done.finish_reason == other.finish_reason, request.id
            assert done.usage.completion_tokens == other.usage.completion_tokens
            assert done.mean_logprob == pytest.approx(other.mean_logprob, abs=2 * RESIZED_TIE), request.id
            continue
        at = next(
            (i for i, (a, b) in enumerate(zip(ids, other_ids, strict=False)) if a != b), min(len(ids), len(other_ids))
        )
        apart = gap(served.family, request, ids[:at])
        resized = any(visual.seen != visual.original for visual in done.visuals)
        (ties if apart <= (RESIZED_TIE if resized else TIE) else different).append(
            f"{request.id} at token {at}, logits {apart:.2e} apart: {text!r} / {other_text!r}"
        )
    with capsys.disabled():
        print(
            f"\n{served.name}: {len(asked)} replies, {sum(len(ids) for ids, _, _ in here)} tokens,",
            f"near ties: {ties or 'none'}",
        )
    assert different == []
