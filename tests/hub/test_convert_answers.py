"""A converted checkpoint answers as the original model does: token by token, in fp32 on a CPU."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image as Pil

from fourways.core.conversation import Conversation, Image, Text, Turn
from fourways.core.events import Done
from fourways.core.request import Generate, Plan, Request
from fourways.engines import LocalEngine
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.hub import look
from fourways.hub.convert import Options, convert
from fourways.media import read_image
from fourways.tuning.targets import match_targets

VARIABLE = "FOURWAYS_TEST_VLLM"
NEW_TOKENS = 12
TIE = 1e-4
SIZES = ((28, 28), (90, 40), (33, 71), (200, 180))
Plain = Callable[[str, Sequence[Pil.Image]], tuple[list[int], float]]
"""A prompt with `<image>` in it, its pictures → the reply's token ids, and the nearest that two best logits came."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of this size only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quiet(stage: str, done: int, total: int) -> None: ...


def picture(index: int) -> tuple[Image, Pil.Image]:
    """Noise in smooth patches: every tile is another, and resizing matters."""
    generator = torch.Generator().manual_seed(index)
    values = torch.randint(0, 256, (9, 7, 3), generator=generator, dtype=torch.uint8)
    image = Pil.fromarray(values.numpy()).resize(SIZES[index % len(SIZES)], Pil.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "PNG")
    return read_image(out.getvalue(), name=f"picture {index}"), image


def load(folder: Path) -> Family:
    found = look(folder)
    return find_family(found.architecture).load(found, dtype="float32", device="cpu")


def replies(family: Family, conversations: Sequence[Conversation]) -> list[list[int]]:
    """All at once, as a server would be asked."""

    async def one(engine: LocalEngine, number: int, conversation: Conversation) -> list[int]:
        ids: list[int] = []
        async for item in engine.stream(Request(f"q{number}", conversation, Plan("c"), Generate(NEW_TOKENS))):
            if isinstance(item, Done):
                assert item.error is None, item.error
                return ids
            ids.extend(item.token_ids or ())
        raise AssertionError("no Done")

    async def run() -> list[list[int]]:
        engine = LocalEngine(family, threads=1)
        try:
            return list(await asyncio.gather(*(one(engine, n, c) for n, c in enumerate(conversations))))
        finally:
            await engine.close()

    return asyncio.run(run())


def conversations() -> list[tuple[Conversation, list[tuple[str, str]], list[Pil.Image]]]:
    """Each for the engine, as (role, text) turns for the original, and its pictures."""
    asked = []
    for index in range(len(SIZES)):
        image, seen = picture(index)
        question = ("Describe the image.", "左上角的物体是什么颜色？")[index % 2]
        asked.append((Conversation.ask(question, image), [("user", f"<image>\n{question}")], [seen]))
    (first, one), (second, two) = picture(5), picture(6)
    turns = (
        Turn("system", (Text("Be kind."),)),
        Turn("user", (first, Text("What is it?"))),
        Turn("assistant", (Text("A red circle."),)),
        Turn("user", (second, Text("And this?"))),
    )
    said = [("system", "Be kind."), ("user", "<image>\nWhat is it?"), ("assistant", "A red circle.")]
    asked.append((Conversation(turns), [*said, ("user", "<image>\nAnd this?")], [one, two]))
    text = "How many objects are there?"
    asked.append((Conversation((Turn("user", (Text(text),)),)), [("user", text)], []))
    return asked


def check(family: Family, prompt: Callable[[list[tuple[str, str]]], str], plain: Plain) -> None:
    asked = conversations()
    here = replies(family, [conversation for conversation, _, _ in asked])
    for mine, (_, turns, images) in zip(here, asked, strict=True):
        ids, nearest = plain(prompt(turns), images)
        assert mine == ids or nearest < TIE, turns
    assert len({tuple(ids) for ids in here}) > len(here) // 2, "the answers must depend on what is asked"


# -- InternVL --------------------------------------------------------------------------------------------------------
def chat(native: ModuleType, language: str) -> Callable[[list[tuple[str, str]]], str]:
    """The prompt that the authors' `chat` writes."""
    system, user, assistant, end, message = native.FORMS[language]

    def write(turns: list[tuple[str, str]]) -> str:
        told = next((text for role, text in turns if role == "system"), message)
        lines = [f"{user if role == 'user' else assistant}{text}{end}" for role, text in turns if role != "system"]
        return f"{system}{told}{end}{''.join(lines)}{assistant}"

    return write


def plain_internvl(models: ModuleType, folder: Path, ends: list[int]) -> Plain:
    config, tensors = models.read(folder)
    table, logits = models.language(config["llm_config"], models.below(tensors, "language_model."))
    side, most = config["force_image_size"], config["max_dynamic_patch"]
    context = int(next(i for i, t in added(folder).items() if t == "<IMG_CONTEXT>"))

    def answer(prompt: str, images: Sequence[Pil.Image]) -> tuple[list[int], float]:
        features = [
            models.internvl_features(config, tensors, models.internvl_tiles(image, side, most)) for image in images
        ]
        for rows in features:
            prompt = prompt.replace("<image>", f"<img>{'<IMG_CONTEXT>' * len(rows)}</img>", 1)
        ids = torch.tensor(models.tokenize(folder, prompt))
        embeds = table[ids].clone()
        if features:
            embeds[ids == context] = torch.cat(features)
        return models.greedy(embeds, table, logits, NEW_TOKENS, ends)

    return answer


def added(folder: Path) -> dict[str, str]:
    table = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    return {index: entry["content"] for index, entry in table.items()}


def ends(folder: Path) -> list[int]:
    found: list[int] = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    return found


@pytest.mark.parametrize("language", ["internlm2", "internlm2 below a tower of 6B's kind", "qwen2", "phi3", "llama"])
def test_a_converted_internvl_answers_as_the_original(
    language: str, tmp_path: Path, originals: ModuleType, original_models: ModuleType, native_vllm: ModuleType
) -> None:
    language, _, large = language.partition(" ")
    folder = originals.internvl(tmp_path / "m", language, seed=3, qk_norm=bool(large))
    place = convert(folder, None, Options(), quiet).folder
    check(load(place), chat(native_vllm, language), plain_internvl(original_models, folder, ends(place)))


def test_dynamic_scaling_turns_by_the_same_frequencies(
    tmp_path: Path, originals: ModuleType, original_models: ModuleType
) -> None:
    """Below the trained length, where the engine stays, and beyond it."""
    folder = originals.internvl(tmp_path / "m", "internlm2")
    place = convert(folder, None, Options(), quiet).folder
    rotary: Any = load(place).module.model.language_model.rotary_emb  # type: ignore[union-attr]  # transformers' own
    config = json.loads((folder / "config.json").read_text())["llm_config"]
    steps = torch.arange(0, 32, 2).float() / 32
    for length in (10, 1024, 1025, 3000):
        cos, _ = rotary(torch.zeros(1), torch.arange(length)[None])
        expected = original_models.rotary_base(config, length) ** -steps
        angles = torch.arange(length).float()[:, None] * expected
        assert torch.allclose(cos[0, :, :16], angles.cos(), atol=2e-3), length


def test_the_context_ends_where_longrope_turns_to_other_frequencies(tmp_path: Path, originals: ModuleType) -> None:
    assert load(convert(originals.internvl(tmp_path / "m", "phi3"), None, Options(), quiet).folder).spec.context == 1024


def test_the_first_name_of_longrope_means_the_same(tmp_path: Path, originals: ModuleType) -> None:
    written = []
    for name in ("longrope", "su"):
        folder = originals.internvl(tmp_path / name, "phi3")
        config = json.loads((folder / "config.json").read_text())
        config["llm_config"]["rope_scaling"]["type"] = name
        originals.write(folder / "config.json", config)
        written.append((convert(folder, None, Options(), quiet).folder / "config.json").read_text())
    assert written[0] == written[1]


@pytest.mark.parametrize("language", ["internlm2", "phi3"])
def test_adapters_reach_every_linear_layer_of_each_language_model(
    language: str, tmp_path: Path, originals: ModuleType
) -> None:
    family = load(convert(originals.internvl(tmp_path / "m", language), None, Options(), quiet).folder)
    _, matched = match_targets(family, "llm")
    inside = [
        name
        for name, module in family.module.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith("model.language_model.layers.")
    ]
    assert list(matched) == inside
    assert len(match_targets(family, "attention")[1]) == originals.LAYERS * (2 if language == "phi3" else 4)


def test_phi3_inside_takes_int8_weights(tmp_path: Path, originals: ModuleType) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed: pip install 'fourways[quant]'")
    found = look(convert(originals.internvl(tmp_path / "m", "phi3"), None, Options(), quiet).folder)
    family = find_family(found.architecture).load(found, dtype="float32", device="cpu", quantization="int8")
    weights = [m.weight for n, m in family.module.named_modules() if n.endswith(("qkv_proj", "gate_up_proj"))]
    assert len(weights) == 2 * originals.LAYERS and all("Int8" in type(weight).__name__ for weight in weights)


# -- LLaVA 1.6 -------------------------------------------------------------------------------------------------------
VICUNA = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)


def vicuna(turns: list[tuple[str, str]]) -> str:
    system = next((text for role, text in turns if role == "system"), VICUNA)
    lines = [
        f"USER: {text} " if role == "user" else f"ASSISTANT: {text}</s>" for role, text in turns if role != "system"
    ]
    return f"{system} {''.join(lines)}ASSISTANT:"


def mistral(turns: list[tuple[str, str]]) -> str:
    told = "".join(f"<<SYS>>\n{text}\n<</SYS>>\n\n" for role, text in turns if role == "system")
    lines = [
        f"[INST] {text} [/INST]" if role == "user" else f" {text} </s>" for role, text in turns if role != "system"
    ]
    return "".join(lines).replace("[INST] ", f"[INST] {told}", 1)


def chatml(turns: list[tuple[str, str]]) -> str:
    told = next((text for role, text in turns if role == "system"), "Answer the questions.")
    spoken = [("system", told), *(turn for turn in turns if turn[0] != "system"), ("assistant", "")]
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>" for role, text in spoken).removesuffix("<|im_end|>")


def plain_llava(models: ModuleType, folder: Path, clip: Path, ends: list[int]) -> Plain:
    config, tensors = models.read(folder)
    settings, tower = models.read(clip)
    table, logits = models.language(config, tensors)

    def answer(prompt: str, images: Sequence[Pil.Image]) -> tuple[list[int], float]:
        """The text before, between and after pictures is encoded part by part, and only the first keeps its `<s>`."""
        parts = [models.tokenize(folder, part) for part in prompt.split("<image>")]
        first = parts[0][:1] if parts[0][0] == 1 else []
        rows = [table[torch.tensor(ids if number == 0 else ids[len(first) :])] for number, ids in enumerate(parts)]
        embeds = rows[0]
        for image, after in zip(images, rows[1:], strict=True):
            features = models.llava_features(config, tensors, settings["vision_config"], tower, image)
            embeds = torch.cat([embeds, features, after])
        return models.greedy(embeds, table, logits, NEW_TOKENS, ends)

    return answer


@pytest.mark.parametrize(("language", "prompt"), [("llama", vicuna), ("mistral", mistral), ("yi", chatml)])
def test_a_converted_llava_answers_as_the_original(
    language: str,
    prompt: Callable[[list[tuple[str, str]]], str],
    tmp_path: Path,
    originals: ModuleType,
    original_models: ModuleType,
) -> None:
    folder, clip = originals.llava(tmp_path / "m", language, seed=4)
    place = convert(folder, None, Options(vision_tower=clip), quiet).folder
    check(load(place), prompt, plain_llava(original_models, folder, clip, ends(place)))


# -- a real vLLM -----------------------------------------------------------------------------------------------------
@pytest.mark.timeout(900)
def test_vllm_on_the_authors_layout_gives_the_tokens_of_the_converted_one(
    tmp_path: Path, originals: ModuleType, native_vllm: ModuleType
) -> None:
    """With InternLM2 inside; bench/conversion_oracle.py asks the same of all language models."""
    program = os.environ.get(VARIABLE)
    if not program:
        pytest.skip(f"{VARIABLE} is not set: it names the `vllm` program of an installed vLLM")
    folder = originals.internvl(tmp_path / "internlm2", "internlm2")
    family = load(convert(folder, None, Options(), quiet).folder)
    asked = native_vllm.requests(18)
    here = native_vllm.answers_here(family, asked)
    with native_vllm.serve(program, folder, "internlm2") as url:
        there = native_vllm.answers_there(url, asked, family.spec.eos_token_ids)
    assert here.prompts == there.prompts
    apart = native_vllm.differences(family, asked, here, there)
    assert [one for one in apart if one["logits_apart"] > TIE] == []
