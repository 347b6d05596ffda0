"""LoRA adapters: checked before anything is touched, one at a time, and none leaves a trace."""

from __future__ import annotations

import asyncio
import copy
import json

import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

from fourways.core.conversation import Conversation
from fourways.core.errors import UserError
from fourways.core.request import Generate

STRANGE = "base_model.model.x.y.lora_A.weight"
WANTED = Generate(6, ignore_eos=True)


def _adapter(family, folder, targets="llm", seed=0, scale=0.3):
    """A PEFT folder with random weights, and the merged model's answer to compare with."""
    torch.manual_seed(seed)
    model = copy.deepcopy(family.module)
    pattern = family.card.lora_targets[targets]
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=pattern, lora_dropout=0.0))
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, scale)
    peft.save_pretrained(folder)
    return folder


@pytest.fixture
def conversation(pictures):
    return Conversation.ask("What is it?", pictures[0])


async def test_an_adapter_answers_as_peft_does_and_leaves_no_trace(
    family, serve, ask, reply, reference, tmp_path, conversation
):
    _adapter(family, tmp_path / "a", "all")
    async with serve(family) as engine:
        plain = await reply(engine, ask(conversation, WANTED))
        await engine.load_adapter("a", tmp_path / "a")
        adapted = await reply(engine, ask(conversation, WANTED, adapter="a"))
        back = await reply(engine, ask(conversation, WANTED))
    from peft import PeftModel

    merged = PeftModel.from_pretrained(copy.deepcopy(family.module), tmp_path / "a").merge_and_unload()
    original = family._model
    family._model = merged
    try:
        assert reference.same(family, conversation, WANTED, adapted.tokens)
    finally:
        family._model = original
    assert plain.tokens == back.tokens != adapted.tokens


async def test_requests_of_several_adapters_at_once_each_get_their_own(qwen, serve, ask, reply, tmp_path, pictures):
    async with serve(qwen) as engine:
        for n, name in enumerate(("a", "b")):
            await engine.load_adapter(name, _adapter(qwen, tmp_path / name, "all", seed=n))
        names = [None, "a", "b"] * 5
        asked = [Conversation.ask(f"Question {n % 4}", pictures[n % 2]) for n in range(len(names))]
        alone = [await reply(engine, ask(c, WANTED, adapter=name)) for c, name in zip(asked, names, strict=True)]
        await engine.clear_caches()
        together = await asyncio.gather(
            *(reply(engine, ask(c, WANTED, adapter=name)) for c, name in zip(asked, names, strict=True))
        )
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert len({tuple(one.tokens) for one in alone[:3]}) == 3


async def test_no_adapter_waits_for_ever_behind_a_busy_one(qwen, serve, ask, reply, tmp_path, pictures):
    async with serve(qwen, max_batch=2) as engine:
        await engine.load_adapter("a", _adapter(qwen, tmp_path / "a"))
        order = []

        async def one(n: int, name: str | None) -> None:
            await reply(engine, ask(Conversation.ask(f"{n}", pictures[0]), WANTED, adapter=name))
            order.append(name)

        await asyncio.gather(*(one(n, "a" if n == 3 else None) for n in range(16)))
    assert order.index("a") < 12


async def test_features_are_shared_with_an_adapter_that_leaves_the_tower_alone_only(
    qwen, serve, ask, reply, tmp_path, conversation
):
    async with serve(qwen) as engine:
        await engine.load_adapter("language", _adapter(qwen, tmp_path / "language", "llm"))
        await engine.load_adapter("tower", _adapter(qwen, tmp_path / "tower", "all"))
        await reply(engine, ask(conversation, WANTED))
        language = await reply(engine, ask(conversation, WANTED, adapter="language"))
        tower = await reply(engine, ask(conversation, WANTED, adapter="tower"))
        assert engine.counters()["prefix_hits"] == 0
    assert language.done.visuals[0].cached and not tower.done.visuals[0].cached


async def test_a_reloaded_name_answers_with_the_new_weights(qwen, serve, ask, reply, tmp_path, conversation):
    for seed, name in enumerate(("one", "two")):
        _adapter(qwen, tmp_path / name, "all", seed=seed)
    async with serve(qwen) as engine:
        await engine.load_adapter("a", tmp_path / "one")
        first = await reply(engine, ask(conversation, WANTED, adapter="a"))
        await engine.load_adapter("a", tmp_path / "two")
        second = await reply(engine, ask(conversation, WANTED, adapter="a"))
        await engine.load_adapter("fresh", tmp_path / "two")
        expected = await reply(engine, ask(conversation, WANTED, adapter="fresh"))
        await engine.unload_adapter("a")
        gone = await reply(engine, ask(conversation, WANTED, adapter="a"))
        with pytest.raises(UserError, match="no adapter named"):
            await engine.unload_adapter("a")
    assert second.tokens == expected.tokens != first.tokens
    assert gone.done.finish_reason == "error" and "fresh" in gone.done.hint


def _edit(folder, change):
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")


def _configure(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _first(tensors, side):
    return next(key for key in sorted(tensors) if f"lora_{side}" in key)


BROKEN = {
    "no weights": (lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"), "adapter_model.bin"),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), "adapter_config.json"),
    "not json": (lambda f: (f / "adapter_config.json").write_text("{"), "not JSON"),
    "not lora": (lambda f: _configure(f, peft_type="IA3"), "not a LoRA"),
    "whole modules": (lambda f: _configure(f, modules_to_save=["lm_head"]), "modules_to_save"),
    "damaged": (lambda f: (f / "adapter_model.safetensors").write_bytes(b"\xff" * 40), "damaged"),
    "other shape": (lambda f: _edit(f, lambda t: t.update({_first(t, "B"): torch.zeros(7, 4)})), "shape (7, 4)"),
    "not finite": (lambda f: _edit(f, lambda t: t[_first(t, "A")].fill_(float("nan"))), "not finite"),
    "half a pair": (lambda f: _edit(f, lambda t: t.pop(_first(t, "A"))), "no weights for the target"),
    "unknown module": (lambda f: _edit(f, lambda t: t.update({STRANGE: torch.zeros(4, 32)})), "no such module"),
    "foreign tensor": (lambda f: _edit(f, lambda t: t.update({"odd": torch.zeros(1)})), "not a LoRA weight"),
    "no match": (lambda f: _configure(f, target_modules="nothing_like_this"), "match nothing"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_adapter_is_refused_before_the_model_is_touched(
    case, qwen, serve, ask, reply, tmp_path, conversation
):
    spoil, said = BROKEN[case]
    folder = _adapter(qwen, tmp_path / "a")
    spoil(folder)
    before = [name for name, _ in qwen.module.named_modules()]
    async with serve(qwen) as engine:
        with pytest.raises(UserError) as raised:
            await engine.load_adapter("a", folder)
        assert said in raised.value.message
        assert [name for name, _ in qwen.module.named_modules()] == before
        assert (await reply(engine, ask(conversation, WANTED))).done.error is None


async def test_a_borrowed_model_is_the_borrowers_alone(qwen, serve, ask, reply, tmp_path, conversation):
    async with serve(qwen) as engine:
        await engine.load_adapter("a", _adapter(qwen, tmp_path / "a"))
        adapted = await reply(engine, ask(conversation, WANTED, adapter="a"))
        async with engine.borrow() as family:
            assert family is qwen and not any("lora_" in name for name, _ in family.module.named_modules())
            waiting = asyncio.create_task(reply(engine, ask(conversation, WANTED, adapter="a")))
            weight = family.module.get_input_embeddings().weight
            loss = family.embed_tokens(torch.tensor([1, 2])).square().sum() if weight.requires_grad else None
            if loss is not None:
                loss.backward()
                weight.grad = None
            await asyncio.sleep(0.02)
            assert not waiting.done()
        again = await waiting
    assert again.tokens == adapted.tokens and not again.done.visuals[0].cached


async def test_an_adapter_that_cannot_be_put_in_fails_its_requests_and_leaves_no_half(
    qwen, serve, ask, reply, tmp_path, conversation, monkeypatch
):
    def halfway(model, tensors, name):
        set_peft_model_state_dict(model, tensors, name)
        raise torch.OutOfMemoryError("no room")

    async with serve(qwen) as engine:
        plain = await reply(engine, ask(conversation, WANTED))
        await engine.load_adapter("a", _adapter(qwen, tmp_path / "a", "all"))
        with monkeypatch.context() as patch:
            patch.setattr("fourways.engines.local.adapters.set_peft_model_state_dict", halfway)
            failed = await reply(engine, ask(conversation, WANTED, adapter="a"))
        await engine.clear_caches()
        back = await reply(engine, ask(conversation, WANTED))
        adapted = await reply(engine, ask(conversation, WANTED, adapter="a"))
    assert "out of memory" in failed.done.error
    assert plain.tokens == back.tokens != adapted.tokens
    assert not any("lora" in name for name, _ in qwen.module.named_modules())
