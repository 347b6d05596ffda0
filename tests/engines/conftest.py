"""Loaded families over tiny random checkpoints, and what transformers' own `generate` says to the same input."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from fourways.core.conversation import Conversation, Image
from fourways.core.events import Done, Event
from fourways.core.request import Generate, Output, Plan, Request
from fourways.engines import LocalEngine
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.media import read_image

FAMILIES = ("qwen2", "qwen2_5", "qwen3", "llava", "internvl")


def _tiny_checkpoints() -> ModuleType:
    path = Path(__file__).parent.parent / "families" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_checkpoints", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def load_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Family]:
    """A tiny family by name, loaded once."""
    loaded: dict[str, Family] = {}

    def load(name: str) -> Family:
        if name not in loaded:
            checkpoint = _tiny_checkpoints().BUILDERS[name](tmp_path_factory.mktemp(name))
            loaded[name] = find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")
        return loaded[name]

    return load


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, load_family: Callable[[str], Family]) -> Family:
    """Each architecture in turn."""
    return load_family(request.param)


@pytest.fixture
def qwen(load_family: Callable[[str], Family]) -> Family:
    """One architecture, for what does not depend on it."""
    return load_family("qwen2_5")


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[LocalEngine]]:
    """An engine that is closed at the end; one thread unless asked otherwise."""

    @asynccontextmanager
    async def run(family: Family, **settings: Any):
        engine = LocalEngine(family, **{"threads": 1, **settings})
        try:
            yield engine
        finally:
            await engine.close()

    return run


@pytest.fixture(scope="session")
def pictures() -> list[Image]:
    """Pictures of several sizes and shapes."""
    rng = np.random.default_rng(5)
    sizes = [(80, 60), (64, 120), (112, 112), (150, 50), (90, 91)]
    found = []
    for width, height in sizes:
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        PilImage.fromarray(coarse).resize((width, height), PilImage.Resampling.BICUBIC).save(buffer, "PNG")
        found.append(read_image(buffer.getvalue(), name=f"{width}x{height}"))
    return found


class Asker:
    """Requests with numbered ids."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, conversation: Conversation, output: Output, **plan: Any) -> Request:
        self.count += 1
        return Request(str(self.count), conversation, Plan("tiny", **plan), output)


@pytest.fixture
def ask() -> Asker:
    return Asker()


class Reply:
    """All that one request gave."""

    def __init__(self, items: Sequence[Event | Done]) -> None:
        *events, done = items
        assert isinstance(done, Done) and all(isinstance(event, Event) for event in events)
        self.events: list[Event] = [event for event in events if isinstance(event, Event)]
        self.done = done
        self.text = "".join(event.text for event in self.events)
        self.tokens = [token for event in self.events for token in event.token_ids or ()]


@pytest.fixture
def reply() -> Callable[..., Any]:
    async def read(engine: LocalEngine, request: Request) -> Reply:
        return Reply([item async for item in engine.stream(request)])

    return read


class Reference:
    """transformers' `generate`, alone, on the official image processor's pixels."""

    def tokens(self, family: Family, conversation: Conversation, wanted: Generate) -> list[int]:
        """Greedy tokens, end of sequence left out."""
        out = self._generate(family, conversation, wanted)
        ends = [] if wanted.ignore_eos else list(family.spec.eos_token_ids)
        tokens = out.sequences[0].tolist()[-len(out.scores) :]
        return tokens[:-1] if tokens[-1] in ends else tokens

    def same(self, family: Family, conversation: Conversation, wanted: Generate, got: Sequence[int]) -> bool:
        """Whether `got` is what generate says, up to a place where its two best scores lie within 1e-4."""
        expected = self.tokens(family, conversation, wanted)
        if list(got) == expected:
            return True
        out = self._generate(family, conversation, wanted)
        step = next(n for n, pair in enumerate(zip([*expected, -1], [*got, -1], strict=False)) if pair[0] != pair[1])
        best = out.scores[step][0].topk(2).values
        return float(best[0] - best[1]) < 1e-4

    def _generate(self, family: Family, conversation: Conversation, wanted: Generate) -> Any:
        layout = family.layout(conversation)
        inputs: dict[str, Any] = {"input_ids": layout.token_ids[None], **_pixels(family, conversation)}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if family.card.name == "qwen-vl":
            inputs["mm_token_type_ids"] = layout.visual_mask[None].long()
        ends = [-1] if wanted.ignore_eos else list(family.spec.eos_token_ids)
        with torch.inference_mode():
            return family.module.generate(  # type: ignore[operator]  # transformers' models have it
                **inputs,
                do_sample=False,
                max_new_tokens=wanted.max_tokens,
                min_new_tokens=wanted.min_tokens or None,
                repetition_penalty=wanted.repetition_penalty,
                eos_token_id=ends,
                return_dict_in_generate=True,
                output_scores=True,
            )


def _pixels(family: Family, conversation: Conversation) -> dict[str, Any]:
    """Pixel tensors by the checkpoint's own processor, given all the images at once."""
    images = [PilImage.fromarray(visual.pixels) for visual in conversation.visuals if isinstance(visual, Image)]
    if not images:
        return {}
    processor: Any = family._processor  # type: ignore[attr-defined]  # the official one, as loaded
    options = {"crop_to_patches": True} if family.card.name == "internvl" else {}
    seen = dict(processor(images=images, return_tensors="pt", **options))
    seen.pop("num_patches", None)
    return seen


@pytest.fixture
def reference() -> Reference:
    return Reference()
