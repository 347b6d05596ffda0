"""int8 weights of the language model: smaller by what they should save, close in their answers, alone as in a batch."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from fourways import zoo
from fourways.axes.memory_gauges import storage_bytes
from fourways.axes.tuning_task import Question
from fourways.compare.room import count_int8, count_parameters, needed_bytes
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.errors import CapabilityError
from fourways.core.request import Generate, Plan, Request
from fourways.engines import LocalEngine
from fourways.families.contract import Family
from fourways.families.quantization import is_quantised
from fourways.families.registry import find_family
from fourways.media import read_image
from fourways.trace.live_tensors import LiveTensors
from fourways.zoo import suite
from fourways.zoo.scenes import png, render

needs_torchao = pytest.mark.skipif(
    importlib.util.find_spec("torchao") is None, reason="torchao is not installed: pip install 'fourways[quant]'"
)


def embedded(name: str) -> Checkpoint:
    folder = zoo.checkpoint(name)
    config = json.loads((folder / "config.json").read_text())
    return Checkpoint(folder, config["architectures"][0], config, {})


def load(name: str, quantization: str | None = "int8", dtype: str = "float32") -> Family:
    checkpoint = embedded(name)
    family = find_family(checkpoint.architecture)
    return family.load(checkpoint, dtype=dtype, device="cpu", quantization=quantization)  # type: ignore[arg-type]  # literals by test


def language_layers(family: Family) -> dict[str, nn.Linear]:
    language = re.compile(family.card.lora_targets["llm"])
    found = family.module.named_modules()
    return {n: m for n, m in found if isinstance(m, nn.Linear) and is_quantised(n, m, language)}


def questions(count: int) -> list[Question]:
    items = suite.vqav2(2026, count // 2, 2)
    return [
        Question(str(n), read_image(png(render(i.scene)), name=str(n)), i.asked.question, i.asked.answer)
        for n, i in enumerate(items)
    ]


async def answers(family: Family, asked: list[Question], *, together: bool) -> list[tuple[int, ...]]:
    """The tokens of each answer, asked one after the other or all at once."""
    engine = LocalEngine(family, threads=1)

    async def one(question: Question) -> tuple[int, ...]:
        request = Request(question.id, question.asked(family.dialect), Plan("tiny"), Generate(12))
        events = [item async for item in engine.stream(request)]
        return tuple(token for event in events for token in getattr(event, "token_ids", None) or ())

    try:
        if together:
            return list(await asyncio.gather(*(one(question) for question in asked)))
        return [await one(question) for question in asked]
    finally:
        await engine.close()


@needs_torchao
@pytest.mark.parametrize("name", zoo.NAMES)
async def test_answers_are_close_to_those_of_the_whole_weights_and_the_same_alone_and_in_a_batch(name: str) -> None:
    asked = questions(20)
    whole = await answers(load(name, None), asked, together=True)
    small = load(name)
    alone = await answers(small, asked, together=False)
    assert alone == await answers(small, asked, together=True)
    assert all(alone)
    equal = sum(a == b for a, b in zip(whole, alone, strict=True))
    print(f"{name}: {equal} of {len(asked)} answers equal")
    assert equal >= 16


@needs_torchao
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_weights_are_smaller_by_exactly_what_int8_saves(name: str, dtype: str) -> None:
    whole, small = load(name, None, dtype), load(name, "int8", dtype)
    layers = language_layers(whole)
    width = whole.spec.dtype.itemsize
    rows = sum(layer.out_features for layer in layers.values())
    saved = sum(layer.weight.numel() for layer in layers.values()) * (width - 1) - rows * (4 + 1)
    sizes = [storage_bytes([*f.module.parameters(), *f.module.buffers()]) for f in (whole, small)]
    assert layers and saved > 0
    assert sizes[0] - sizes[1] == saved
    counter = LiveTensors()
    counter.adopt(small.module.parameters())
    assert counter.live == storage_bytes(small.module.parameters())
    assert small.spec == whole.spec


@needs_torchao
@torch.inference_mode()
def test_only_the_language_model_s_linear_layers_are_touched() -> None:
    whole, small = load("qwen", None), load("qwen")
    changed = {n for n, m in small.module.named_modules() if type(getattr(m, "weight", None)).__name__ == "Int8Tensor"}
    assert changed == set(language_layers(whole))
    (question, *_) = questions(2)
    layouts = [family.layout(question.asked(family.dialect)) for family in (whole, small)]
    assert layouts[0].visuals[0].unit_keys == layouts[1].visuals[0].unit_keys
    features = [family.encode(family.preprocess(question.image)) for family in (whole, small)]
    assert all(torch.equal(a, b) for a, b in zip(*features, strict=True))


@needs_torchao
@torch.inference_mode()
def test_a_layer_s_copy_in_the_candidate_s_dtype_is_seen_while_it_lives() -> None:
    name, layer = next(iter(language_layers(load("qwen")).items()))
    counter = LiveTensors()
    counter.adopt(layer.parameters())
    held = counter.live
    with counter.watch():
        layer(torch.zeros(1, layer.in_features))
    assert counter.peak >= held + layer.weight.numel() * 4, name


@needs_torchao
def test_quantised_weights_go_to_another_device_whole() -> None:
    moved = load("qwen").module.to("meta")
    assert {p.device.type for p in moved.parameters()} == {"meta"}
    kept = [m.weight for m in moved.modules() if type(getattr(m, "weight", None)).__name__ == "Int8Tensor"]
    assert kept and all(weight.qdata.dtype == torch.int8 and weight.qdata.is_meta for weight in kept)


@needs_torchao
def test_a_lora_on_quantised_weights_adds_exactly_its_product_and_its_gradients_are_those_of_the_whole_layer() -> None:
    family = load("qwen")
    name = next(iter(language_layers(family)))
    family.module.requires_grad_(False)
    base = family.module.get_submodule(name)
    weight, bias = base.weight.dequantize(), base.bias
    torch.manual_seed(0)
    peft = get_peft_model(family.module, LoraConfig(r=4, lora_alpha=8, target_modules=f"^{re.escape(name)}$"))
    layer = family.module.get_submodule(name)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    nn.init.normal_(b, std=0.1)
    x = torch.randn(3, base.in_features)
    expected = nn.functional.linear(x, weight + 2 * b @ a, bias)
    found = layer(x)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    ours, its = (torch.autograd.grad(y.square().sum(), (a, b)) for y in (found, expected))
    torch.testing.assert_close(ours, its, atol=1e-3, rtol=1e-3)
    peft.unload()
    assert type(family.module.get_submodule(name).weight).__name__ == "Int8Tensor"


def test_the_room_that_is_asked_for_counts_int8_where_it_is_int8() -> None:
    checkpoint = embedded("qwen")
    total = count_parameters(checkpoint)
    layers = sum(layer.weight.numel() for layer in language_layers(load("qwen", None)).values())
    on_gpu = Candidate("c", model="zoo:qwen", dtype="bfloat16", device="cuda", quantization="int8")
    on_cpu = Candidate("c", model="zoo:qwen", dtype="bfloat16", device="cpu", quantization="int8")
    assert count_int8(on_gpu, checkpoint) == layers
    assert needed_bytes(on_gpu, total, layers) == int((2 * total - layers) * 1.15)
    assert count_int8(on_cpu, checkpoint) == 0, "on a CPU the whole weights are there first"


# -- what is refused -------------------------------------------------------------------------------------------------
def test_without_torchao_int8_is_refused_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(CapabilityError, match="need torchao") as error:
        load("qwen")
    assert error.value.hint == "pip install 'fourways[quant]'"


@pytest.mark.parametrize(("quantization", "dtype"), [("int4", "float32"), ("int4", "bfloat16"), ("int8", "float16")])
def test_what_cannot_be_done_is_refused_before_weights_are_read(
    quantization: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fourways.families.loading.check_weights", lambda folder: pytest.fail(str(Path(folder))))
    with pytest.raises(CapabilityError, match=quantization) as error:
        load("qwen", quantization, dtype)
    assert error.value.hint
