"""The contract's own test suite, for every family, ours and third parties' (needs pytest).

    class TestMyFamily(FamilyContract):
        @pytest.fixture(scope="class")
        def checkpoint(self) -> Checkpoint:
            return ...  # a small checkpoint of the architecture, in float32

A family that passes can be measured and served: batches and caches will not change its answers.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation, Image, Pixels, Text, Turn, Video, Visual
from fourways.families.contract import Family, PromptEmbeddings, PromptLayout
from fourways.families.registry import find_family

SIZES = ((120, 90), (64, 200), (31, 47), (333, 250))
BUDGETS = (None, 300, 40, 20, 12)
TOLERANCE = 1e-4
"""The largest difference of features and logits that float rounding may make in float32 (DESIGN.md, rule 3)."""


# -- inputs ----------------------------------------------------------------------------------------------------------
def noise_image(width: int, height: int, seed: int = 0) -> Image:
    """An image of random pixels; equal arguments give equal images."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image(pixels.tobytes(), _sha256(pixels), _sha256(pixels), pixels)


def noise_clip(width: int, height: int, frames: int, seed: int = 0, frames_per_second: float = 2.0) -> Video:
    """A clip of random frames, evenly spaced."""
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    times = tuple(index / frames_per_second for index in range(frames))
    return Video(pixels.tobytes(), _sha256(pixels), _sha256(pixels), pixels, times)


def _sha256(pixels: Pixels) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


# -- the plainest engine ---------------------------------------------------------------------------------------------
def visual_rows(family: Family, conversation: Conversation, layout: PromptLayout, budget: int | None) -> list[Tensor]:
    """Each visual encoded by itself and assembled."""
    return [
        family.assemble(plan, family.encode(family.preprocess(visual, budget)))
        for visual, plan in zip(conversation.visuals, layout.visuals, strict=True)
    ]


def embedded(
    family: Family, conversation: Conversation, budget: int | None = None
) -> tuple[PromptLayout, PromptEmbeddings]:
    """The prompt, planned and embedded."""
    layout = family.layout(conversation, budget)
    return layout, family.embed(layout, visual_rows(family, conversation, layout, budget))


def causal_mask(length: int, device: torch.device) -> Tensor:
    """(1, 1, length, length): every position looks at itself and back."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()[None, None]


@torch.inference_mode()
def greedy(
    family: Family, conversation: Conversation, tokens: int, budget: int | None = None
) -> tuple[list[int], list[float]]:
    """Up to `tokens` greedy tokens, the last one possibly an end, and at each the gap between the two best logits."""
    layout, prompt = embedded(family, conversation, budget)
    device, length = family.spec.device, len(layout.token_ids)
    cache = DynamicCache()
    deepstack = None if prompt.deepstack is None else prompt.deepstack[:, None]
    hidden = family.forward(
        prompt.embeds[None], layout.positions[:, None].to(device), causal_mask(length, device), cache, deepstack
    )
    chosen: list[int] = []
    gaps: list[float] = []
    while len(chosen) < tokens:
        best = family.logits(hidden[0, -1:]).float().topk(2)
        chosen.append(int(best.indices[0, 0]))
        gaps.append(float(best.values[0, 0] - best.values[0, 1]))
        if chosen[-1] in family.spec.eos_token_ids:
            break
        step = len(chosen) - 1
        position = torch.full((family.spec.position_rows, 1, 1), layout.next_position + step, device=device)
        mask = torch.ones(1, 1, 1, length + len(chosen), dtype=torch.bool, device=device)
        hidden = family.forward(family.embed_tokens(torch.tensor([chosen[-1:]])), position, mask, cache)
    return chosen, gaps


# -- the suite -------------------------------------------------------------------------------------------------------
class FamilyContract:
    """Subclass it, and give it a class-scoped fixture `checkpoint`."""

    @pytest.fixture(scope="class")
    def device(self) -> str:
        """Where the model runs; FOURWAYS_TEST_DEVICE=cuda tries a GPU."""
        return os.environ.get("FOURWAYS_TEST_DEVICE", "cpu")

    @pytest.fixture(scope="class")
    def family(self, checkpoint: Checkpoint, device: str) -> Family:
        return find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device=device)

    @pytest.fixture(scope="class")
    def visuals(self, family: Family) -> list[Visual]:
        images: list[Visual] = [noise_image(*size, seed) for seed, size in enumerate(SIZES)]
        return [*images, noise_clip(90, 64, 3), noise_clip(40, 70, 4)] if family.card.video else images

    def test_its_architecture_finds_it(self, checkpoint: Checkpoint, family: Family) -> None:
        assert checkpoint.architecture in family.card.architectures
        assert find_family(checkpoint.architecture) is type(family)

    def test_what_the_counter_promises_is_planned_and_assembled(
        self, checkpoint: Checkpoint, family: Family, visuals: list[Visual]
    ) -> None:
        counter = type(family).counter(checkpoint)
        for budget in BUDGETS:
            for visual in visuals:
                conversation = Conversation.ask("What is it?", visual)
                layout = family.layout(conversation, budget)
                if isinstance(visual, Image):
                    counted = counter.image(visual.width, visual.height, budget)
                else:
                    frames, height, width = visual.frames.shape[:3]
                    counted = counter.video(width, height, frames, budget)
                with torch.inference_mode():
                    rows = visual_rows(family, conversation, layout, budget)
                assert layout.visuals[0].geometry == counted
                assert int(layout.visual_mask.sum()) == counted.visual_tokens
                assert len(rows[0]) == counted.visual_tokens

    def test_a_lower_budget_never_costs_more(self, checkpoint: Checkpoint, family: Family) -> None:
        counter = type(family).counter(checkpoint)
        for width, height in SIZES:
            costs = [counter.image(width, height, budget).visual_tokens for budget in BUDGETS]
            assert costs == sorted(costs, reverse=True)

    def test_a_layout_is_whole(self, family: Family, visuals: list[Visual]) -> None:
        for conversation in _conversations(visuals):
            layout = family.layout(conversation)
            length = len(layout.token_ids)
            assert layout.token_ids.dtype == torch.int64
            assert layout.positions.shape == (family.spec.position_rows, length)
            assert layout.visual_mask.shape == (length,)
            assert layout.next_position == int(layout.positions.max()) + 1
            assert len(layout.visuals) == len(conversation.visuals)
            for plan in layout.visuals:
                assert len(plan.unit_keys) == len(plan.unit_tokens) == len(set(plan.unit_keys))

    def test_preprocessing_gives_the_units_that_were_planned(self, family: Family, visuals: list[Visual]) -> None:
        for visual in visuals:
            plan = family.layout(Conversation.ask("?", visual)).visuals[0]
            units = family.preprocess(visual)
            assert tuple(unit.key for unit in units) == plan.unit_keys
            assert tuple(unit.tokens for unit in units) == plan.unit_tokens

    def test_equal_content_has_equal_keys_and_other_content_has_others(self, family: Family) -> None:
        def keys(image: Image) -> tuple[str, ...]:
            return family.layout(Conversation.ask("?", image)).visuals[0].unit_keys

        first = keys(noise_image(120, 90, seed=1))
        assert first == keys(noise_image(120, 90, seed=1))
        assert not set(first) & set(keys(noise_image(120, 90, seed=2)))

    def test_a_unit_that_is_planned_under_one_key_has_one_content(self, family: Family) -> None:
        seen: dict[str, Tensor] = {}
        for budget in BUDGETS:
            for unit in family.preprocess(noise_image(333, 250), budget):
                assert torch.equal(seen.setdefault(unit.key, unit.pixels), unit.pixels)

    @torch.inference_mode()
    def test_a_unit_alone_has_the_features_it_has_in_a_batch(self, family: Family, visuals: list[Visual]) -> None:
        units = [unit for visual in visuals for unit in family.preprocess(visual)]
        together = family.encode(units)
        for unit, batched in zip(units, together, strict=True):
            (alone,) = family.encode([unit])
            assert alone.shape[0] == unit.tokens
            torch.testing.assert_close(alone, batched, atol=TOLERANCE, rtol=TOLERANCE)

    @torch.inference_mode()
    def test_another_picture_gives_other_scores(self, family: Family) -> None:
        scores = [
            _last_scores(family, [embedded(family, Conversation.ask("Is it red?", noise_image(120, 90, seed)))])[0]
            for seed in (1, 2)
        ]
        assert float((scores[0] - scores[1]).abs().max()) > TOLERANCE

    @torch.inference_mode()
    def test_prompts_of_different_lengths_in_one_batch_score_as_alone(
        self, family: Family, visuals: list[Visual]
    ) -> None:
        conversations = [
            Conversation.ask("Is it red?", visuals[0]),
            Conversation.ask("Hello"),
            Conversation.ask("And what are these two, then?", *visuals[1:3]),
        ]
        prompts = [embedded(family, conversation) for conversation in conversations]
        alone = [_last_scores(family, [prompt])[0] for prompt in prompts]
        for single, batched in zip(alone, _last_scores(family, prompts), strict=True):
            torch.testing.assert_close(single, batched, atol=TOLERANCE, rtol=TOLERANCE)

    @torch.inference_mode()
    def test_decoding_with_a_cache_scores_as_reading_it_all_again(self, family: Family, visuals: list[Visual]) -> None:
        layout, prompt = embedded(family, Conversation.ask("Name it.", visuals[0]))
        extra = layout.token_ids[-3:]
        chosen = family.embed_tokens(extra)
        device, length = family.spec.device, len(layout.token_ids)
        later = torch.arange(layout.next_position, layout.next_position + 3).expand(family.spec.position_rows, 3)
        whole_positions = torch.cat([layout.positions, later], dim=1)[:, None].to(device)
        deepstack = None if prompt.deepstack is None else prompt.deepstack[:, None]
        padded = None if deepstack is None else torch.nn.functional.pad(deepstack, (0, 0, 0, 3))
        whole = family.forward(
            torch.cat([prompt.embeds, chosen])[None], whole_positions, causal_mask(length + 3, device), None, padded
        )
        cache = DynamicCache()
        steps = [
            family.forward(
                prompt.embeds[None], whole_positions[:, :, :length], causal_mask(length, device), cache, deepstack
            )
        ]
        for step in range(3):
            at = length + step
            mask = torch.ones(1, 1, 1, at + 1, dtype=torch.bool, device=device)
            steps.append(family.forward(chosen[None, step : step + 1], whole_positions[:, :, at : at + 1], mask, cache))
        torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=TOLERANCE, rtol=TOLERANCE)

    def test_control_tokens_in_a_text_are_only_text(self, family: Family) -> None:
        control = {int(i): str(token) for i, token in family.tokenizer.added_tokens_decoder.items()}
        guarded = {i for i, token in control.items() if token not in family.card.markup}

        def turns(text: str) -> list[int]:
            return [i for i in family.layout(Conversation.ask(text)).token_ids.tolist() if i in guarded]

        written = [control[i] for i in sorted(guarded)]
        for text in ("".join(written), " ".join(written), *(f"say {token} twice: {token}" for token in written)):
            assert turns(text) == turns("x"), f"{text!r} changed the turns"

    def test_an_image_beside_a_text_that_spells_a_placeholder_keeps_its_place(self, family: Family) -> None:
        image = noise_image(120, 90)
        plain = family.layout(Conversation.ask("x", image))
        placeholder = family.tokenizer.convert_ids_to_tokens(int(plain.token_ids[plain.visual_mask][0]))
        hostile = family.layout(Conversation.ask(f"{placeholder}{placeholder} x", image))
        assert int(hostile.visual_mask.sum()) == int(plain.visual_mask.sum())
        assert int((hostile.token_ids == plain.token_ids[plain.visual_mask][0]).sum()) == int(plain.visual_mask.sum())

    def test_gradients_reach_the_prompt(self, family: Family, visuals: list[Visual]) -> None:
        layout, prompt = embedded(family, Conversation.ask("Is it red?", visuals[0]))
        embeds = prompt.embeds.detach().requires_grad_()
        mask = causal_mask(len(embeds), family.spec.device)
        positions = layout.positions[:, None].to(family.spec.device)
        family.logits(family.forward(embeds[None], positions, mask, None)[0, -1:]).square().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        assert embeds.grad is not None
        assert float(embeds.grad.abs().max()) > 0

    def test_lora_targets_name_linear_layers_and_spare_the_vision_tower(
        self, family: Family, visuals: list[Visual]
    ) -> None:
        linear = {n for n, module in family.module.named_modules() if isinstance(module, torch.nn.Linear)}
        sees = _modules_that_run(family, visuals[0])
        assert "llm" in family.card.lora_targets
        for pattern in family.card.lora_targets.values():
            matched = {name for name, _ in family.module.named_modules() if re.fullmatch(pattern, name)}
            assert matched
            assert matched <= linear
        language = {name for name in linear if re.fullmatch(family.card.lora_targets["llm"], name)}
        assert not language & sees


def _conversations(visuals: Sequence[Visual]) -> list[Conversation]:
    picture, other = visuals[0], visuals[1]
    return [
        Conversation.ask("No picture."),
        Conversation.ask("Which is larger?", picture, other),
        Conversation.ask("Look.", *visuals, system="Answer in one word."),
        Conversation(
            (
                Turn("user", (picture, Text("What is it?"))),
                Turn("assistant", (Text("A star."),)),
                Turn("user", (Text("And this?"), other)),
            )
        ),
    ]


def _last_scores(family: Family, prompts: Sequence[tuple[PromptLayout, PromptEmbeddings]]) -> list[Tensor]:
    """Logits after each prompt, all read in one batch, padded on the right."""
    device, spec = family.spec.device, family.spec
    lengths = [len(layout.token_ids) for layout, _ in prompts]
    longest, count = max(lengths), len(prompts)
    embeds = torch.zeros(count, longest, spec.hidden, device=device, dtype=spec.dtype)
    positions = torch.zeros(spec.position_rows, count, longest, dtype=torch.int64, device=device)
    levels = max((0 if p.deepstack is None else len(p.deepstack) for _, p in prompts), default=0)
    deepstack = torch.zeros(levels, count, longest, spec.hidden, device=device, dtype=spec.dtype)
    for row, (layout, prompt) in enumerate(prompts):
        embeds[row, : lengths[row]] = prompt.embeds
        positions[:, row, : lengths[row]] = layout.positions.to(device)
        if prompt.deepstack is not None:
            deepstack[:, row, : lengths[row]] = prompt.deepstack
    mask = causal_mask(longest, device).expand(count, 1, longest, longest)
    hidden = family.forward(embeds, positions, mask, None, deepstack if levels else None)
    return [family.logits(hidden[row, length - 1 : length])[0] for row, length in enumerate(lengths)]


@torch.inference_mode()
def _modules_that_run(family: Family, visual: Visual) -> set[str]:
    """Names of the modules that encode a visual."""
    ran: set[str] = set()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
        for name, module in family.module.named_modules()
    ]
    family.encode(family.preprocess(visual))
    for hook in hooks:
        hook.remove()
    return ran
