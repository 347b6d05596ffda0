"""What the contract computes is what transformers computes on the same input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from PIL import Image as PilImage
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation, Image, Text, Turn, Video
from fourways.families.contract import Family
from fourways.families.testing import embedded, greedy, noise_clip, noise_image

QWEN = ("qwen2", "qwen2_5", "qwen3")
ALL = (*QWEN, "llava", "internvl")
TIE = 1e-4

CONVERSATIONS = {
    "one image": Conversation.ask("What is the thing?", noise_image(120, 90)),
    "two images": Conversation.ask("Which one\nis larger, then?", noise_image(70, 200, 1), noise_image(150, 33, 2)),
    "text alone": Conversation.ask("Say the word."),
    "a system turn": Conversation.ask("Name it.", noise_image(64, 64, 3), system="Be brief."),
    "several turns": Conversation(
        (
            Turn("user", (noise_image(100, 100, 4), Text("What is it?"))),
            Turn("assistant", (Text("the star"),)),
            Turn("user", (Text("And this?"), noise_image(56, 120, 5))),
        )
    ),
}


def messages(conversation: Conversation) -> list[dict[str, Any]]:
    def part(item: Text | Image | Video) -> dict[str, str]:
        return {"type": "text", "text": item.text} if isinstance(item, Text) else {"type": "image"}

    return [{"role": turn.role, "content": [part(p) for p in turn.parts]} for turn in conversation.turns]


def transformers_inputs(
    name: str, family: Family, checkpoint: Checkpoint, conversation: Conversation
) -> dict[str, Any]:
    """Token ids and pixels by transformers' tokenizer, template and Pillow processors, nothing of ours."""
    tokenizer: Any = family.tokenizer
    template = (checkpoint.folder / "chat_template.jinja").read_text()
    text = tokenizer.apply_chat_template(
        messages(conversation), chat_template=template, add_generation_prompt=True, tokenize=False
    )
    pictures = [PilImage.fromarray(v.pixels) for v in conversation.visuals if isinstance(v, Image)]
    inputs: dict[str, Any] = {}
    token = family.tokenizer.convert_ids_to_tokens(family.module.config.image_token_id)
    replacements: list[str] = []
    if pictures and name in QWEN:
        pixels = Qwen2VLImageProcessorPil.from_pretrained(checkpoint.folder)(images=pictures, return_tensors="pt")
        inputs = dict(pixels)
        replacements = [token * int(grid.prod() // 4) for grid in pixels["image_grid_thw"]]
    elif pictures and name == "llava":
        pixels = LlavaNextImageProcessorPil.from_pretrained(checkpoint.folder)(images=pictures, return_tensors="pt")
        inputs = dict(pixels)
        features = family.module.get_image_features(pixels["pixel_values"], pixels["image_sizes"]).pooler_output
        replacements = [token * len(rows) for rows in features]
    elif pictures:
        processor = GotOcr2ImageProcessorPil.from_pretrained(checkpoint.folder)
        pixels = processor(images=pictures, crop_to_patches=True, return_tensors="pt")
        inputs = {"pixel_values": pixels["pixel_values"]}
        replacements = [f"<img>{token * 4 * int(count)}</img>" for count in pixels["num_patches"]]
    before, *after = text.split(token)
    text = before + "".join(r + a for r, a in zip(replacements, after, strict=True))
    inputs |= dict(tokenizer(text, return_tensors="pt"))
    if name in QWEN:
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == family.module.config.image_token_id).int()
    return inputs


def agree_up_to_a_tie(ours: Sequence[int], theirs: Sequence[int], gaps: Sequence[float]) -> bool:
    """Token-identical, unless the two best logits lie within 1e-4 where they part (DESIGN.md, rule 3)."""
    for a, b, gap in zip(ours, theirs, gaps, strict=False):
        if a != b:
            return gap < TIE
    return len(ours) == len(theirs)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("case", CONVERSATIONS)
def test_the_greedy_answer_is_the_one_that_generate_gives(
    name: str, case: str, families: dict[str, Family], checkpoints: dict[str, Checkpoint]
) -> None:
    family, conversation = families[name], CONVERSATIONS[case]
    inputs = transformers_inputs(name, family, checkpoints[name], conversation)
    assert family.layout(conversation).token_ids.tolist() == inputs["input_ids"][0].tolist()

    model: Any = family.module
    prompt_length = inputs["input_ids"].shape[1]
    theirs = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, prompt_length:].tolist()
    ours, gaps = greedy(family, conversation, 12)
    assert agree_up_to_a_tie(ours, theirs, gaps), (ours, theirs, gaps)


@pytest.mark.parametrize("name", QWEN)
def test_positions_are_those_of_get_rope_index(name: str, families: dict[str, Family]) -> None:
    family = families[name]
    model: Any = family.module
    conversation = Conversation(
        (Turn("user", (noise_image(90, 200), Text("a"), noise_clip(60, 120, 5), Text("b"), noise_image(64, 64, 2))),)
    )
    layout = family.layout(conversation)
    ids = layout.token_ids[None]
    types = (ids == model.config.image_token_id).int() + 2 * (ids == model.config.video_token_id).int()
    units = [family.preprocess(visual) for visual in conversation.visuals]
    grids = [torch.tensor([[len(u), *u[0].grid[1:]]]) for u in units]
    expected, delta = model.model.get_rope_index(
        ids,
        types,
        image_grid_thw=torch.cat([grids[0], grids[2]]),
        video_grid_thw=grids[1],
        second_per_grid_ts=torch.tensor([1.0]),
    )
    assert layout.positions.tolist() == expected[:, 0].tolist()
    assert layout.next_position == ids.shape[1] + int(delta)


@pytest.mark.parametrize("name", QWEN)
def test_a_clip_of_frame_pairs_is_answered_as_by_generate(name: str, families: dict[str, Family]) -> None:
    family = families[name]
    model: Any = family.module
    clip = noise_clip(90, 60, 5, frames_per_second=4.0)
    conversation = Conversation.ask("What moves?", clip)
    layout, units = family.layout(conversation), family.preprocess(clip)
    ids = layout.token_ids[None]
    theirs = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=2 * (ids == model.config.video_token_id).int(),
        pixel_values_videos=torch.cat([unit.pixels for unit in units]),
        video_grid_thw=torch.tensor([[len(units), *units[0].grid[1:]]]),
        max_new_tokens=12,
        do_sample=False,
        **({"second_per_grid_ts": torch.tensor([0.5])} if name == "qwen2_5" else {}),
    )[0, ids.shape[1] :].tolist()
    ours, gaps = greedy(family, conversation, 12)
    assert agree_up_to_a_tie(ours, theirs, gaps), (ours, theirs, gaps)


@pytest.mark.parametrize("name", QWEN)
@torch.inference_mode()
def test_a_frame_pair_alone_has_the_features_it_has_in_its_clip(name: str, families: dict[str, Family]) -> None:
    family = families[name]
    model: Any = family.module
    units = family.preprocess(noise_clip(140, 110, 6))
    clip = model.model.visual(
        torch.cat([unit.pixels for unit in units]), grid_thw=torch.tensor([[len(units), *units[0].grid[1:]]])
    )
    inside = torch.cat([clip.pooler_output, *(getattr(clip, "deepstack_features", None) or [])], dim=-1)
    alone = torch.cat([family.encode([unit])[0] for unit in units])
    torch.testing.assert_close(alone, inside, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", QWEN)
def test_a_patch_of_a_pair_holds_the_first_frame_and_then_the_second(name: str, families: dict[str, Family]) -> None:
    family = families[name]
    clip = noise_clip(112, 112, 3)
    first, second = family.preprocess(clip, 32)
    side = 16 if name == "qwen3" else 14
    for unit, pair in ((first, (0, 1)), (second, (2, 2))):
        frames = [family.preprocess(Image(b"", str(i), str(i), clip.frames[i]), 16)[0] for i in pair]
        assert unit.grid == frames[0].grid
        steps = unit.pixels.reshape(-1, 3, 2, side, side)
        for step, frame in enumerate(frames):
            assert torch.equal(steps[:, :, step], frame.pixels.reshape(-1, 3, 2, side, side)[:, :, 0])


def test_a_single_frame_is_paired_with_itself_like_an_image(families: dict[str, Family]) -> None:
    family = families["qwen2"]
    clip = noise_clip(112, 112, 1)
    (unit,) = family.preprocess(clip, 16)
    (image,) = family.preprocess(Image(b"", "x", "x", clip.frames[0]), 16)
    assert unit.grid == image.grid
    assert torch.equal(unit.pixels, image.pixels)


def test_qwen3_writes_the_middle_of_each_pair_as_its_time(families: dict[str, Family]) -> None:
    family = families["qwen3"]
    text = family.tokenizer.decode(family.layout(Conversation.ask("?", noise_clip(64, 64, 3))).token_ids)
    framed = "".join(f"<{t} seconds><|vision_start|>{{}}<|vision_end|>" for t in ("0.2", "1.0"))
    tokens = family.layout(Conversation.ask("?", noise_clip(64, 64, 3))).visuals[0].unit_tokens[0]
    assert framed.format(*["<|video_pad|>" * tokens] * 2) in text


@pytest.mark.parametrize("size", [(120, 90), (33, 200), (200, 33), (56, 56), (10, 400), (112, 113)])
@torch.inference_mode()
def test_llava_packs_its_tiles_as_transformers_does(size: tuple[int, int], families: dict[str, Family]) -> None:
    family = families["llava"]
    model: Any = family.module
    image = noise_image(*size)
    layout = family.layout(Conversation.ask("?", image))
    units = family.preprocess(image)
    features = family.encode(units)
    packed, _ = model.model.pack_image_features(
        [torch.stack(features)],
        torch.tensor([[image.height, image.width]]),
        vision_feature_select_strategy="default",
        image_newline=model.model.image_newline,
    )
    assert torch.equal(family.assemble(layout.visuals[0], features), packed[0])


def test_llava_under_the_least_budget_is_its_base_view_and_a_newline(families: dict[str, Family]) -> None:
    family = families["llava"]
    model: Any = family.module
    image = noise_image(120, 90)
    layout, prompt = embedded(family, Conversation.ask("?", image), 20)
    assert layout.visuals[0].geometry.visual_tokens == 17
    (base,) = family.preprocess(image, 20)
    rows = prompt.embeds[layout.visual_mask]
    assert torch.equal(rows, torch.cat([family.encode([base])[0], model.model.image_newline[None]]))


def test_internvl_reads_a_clip_as_numbered_frames(families: dict[str, Family]) -> None:
    family = families["internvl"]
    text = family.tokenizer.decode(family.layout(Conversation.ask("?", noise_clip(80, 60, 2))).token_ids)
    frame = f"<img>{'<IMG_CONTEXT>' * 4}</img>"
    assert f"Frame1: {frame}\nFrame2: {frame}\n?" in text


@pytest.mark.parametrize("name", ["llava", "internvl"])
def test_a_clip_of_these_families_is_answered_as_its_frames(name: str, families: dict[str, Family]) -> None:
    family = families[name]
    clip = noise_clip(60, 60, 2)
    frames = [Image(b"", str(i), str(i), pixels) for i, pixels in enumerate(clip.frames)]
    budget = 1 if name == "internvl" else None
    with torch.inference_mode():
        whole, prompt = embedded(family, Conversation.ask("?", clip), budget)
        single = [embedded(family, Conversation.ask("?", frame), budget) for frame in frames]
    rows = torch.cat([p.embeds[layout.visual_mask] for layout, p in single])
    torch.testing.assert_close(prompt.embeds[whole.visual_mask], rows, atol=1e-5, rtol=1e-5)
