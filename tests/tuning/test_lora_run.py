"""A LoRA fine-tune learns, touches only what it should, and leaves the family as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForImageTextToText

from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation
from fourways.core.errors import FourwaysError, UserError
from fourways.families.contract import Family
from fourways.media import read_image
from fourways.tuning.batch import answer_loss, causal_mask, collate
from fourways.tuning.examples import Example, data_sha256
from fourways.tuning.folder import WEIGHTS, read_manifest, save_adapter
from fourways.tuning.lora import LoraRun, Step, TrainingSet
from fourways.tuning.prepared import Visuals, end_token, prepare
from fourways.tuning.recipe import Recipe
from fourways.zoo import unseen_task

FAMILIES = ("qwen", "llava", "internvl")
MakeFamily = Callable[[str], tuple[Family, Checkpoint]]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    train, _ = unseen_task(seed=3, n_train=8, n_val=0)
    return [
        Example(f"train-{i}", Conversation.ask(s.question, read_image(s.image, name=f"train-{i}")), s.answer)
        for i, s in enumerate(train)
    ]


def recipe(**changes: object) -> Recipe:
    return msgspec.structs.replace(Recipe(seed=5, steps=12, batch_size=4, learning_rate=5e-3), **changes)


def train(run: LoraRun, data: TrainingSet) -> list[Step]:
    return list(run.steps(data))


def snapshot(family: Family) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in family.module.named_parameters()}


@pytest.mark.parametrize("name", FAMILIES)
def test_training_lowers_the_loss_and_leaves_the_base_as_it_was(
    name: str, family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of(name)
    before = snapshot(family)
    data = TrainingSet(family, examples)
    with LoraRun(family, recipe(steps=20, learning_rate=1e-2)) as run:
        steps = train(run, data)
        adapted = {n.rpartition(".lora_")[0] for n, p in family.module.named_parameters() if p.requires_grad}
    assert sum(s.loss for s in steps[-3:]) / 3 < 0.85 * steps[0].loss
    assert adapted == set(run.modules)
    assert all(n.startswith("model.language_model.layers.") for n in run.modules)
    assert snapshot(family).keys() == before.keys()
    assert all(torch.equal(p, before[n]) for n, p in family.module.named_parameters())


def test_gradient_norms_come_every_so_many_steps_for_each_module(
    family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of("qwen")
    with LoraRun(family, recipe(steps=6, log_every=5, max_grad_norm=1e-9)) as run:
        steps = train(run, TrainingSet(family, examples))
    assert [s.step for s in steps if s.grad_norms is not None] == [0, 5]
    norms = steps[5].grad_norms
    assert norms is not None
    assert tuple(norms) == run.modules
    assert all(norm > 1e-9 for norm in norms.values()), "the norms are those before clipping"


def test_what_is_trained_on_is_seen_under_the_budget_it_is_asked_under(
    family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of("qwen")
    conversation = examples[0].conversation
    native, small = (family.layout(conversation, budget).visuals[0].geometry.visual_tokens for budget in (None, 4))
    assert small < native
    data = TrainingSet(family, examples, 4)
    assert data.items[0].layout.visuals[0].geometry.visual_tokens == small
    assert sum(len(rows) for rows in data.visuals.of(data.items[0].layout)) == small


def test_a_logged_norm_is_that_of_both_matrices_together(family_of: MakeFamily, examples: list[Example]) -> None:
    family, _ = family_of("qwen")
    with LoraRun(family, recipe(steps=1, max_grad_norm=1e9)) as run:
        (step,) = train(run, TrainingSet(family, examples))
        layer = family.module.get_submodule(run.modules[3])
        grads = [layer.lora_A["default"].weight.grad, layer.lora_B["default"].weight.grad]  # type: ignore[union-attr, index]
        both = torch.cat([g.flatten() for g in grads if g is not None]).norm()
    assert step.grad_norms is not None
    assert step.grad_norms[run.modules[3]] == pytest.approx(float(both), rel=1e-5)
    assert float(grads[0].norm()) == 0, "B starts at zero, so A has no gradient at step 0"  # type: ignore[union-attr]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of("internvl")
    data = TrainingSet(family, examples)
    losses = []
    for seed in (1, 1, 2):
        with LoraRun(family, recipe(seed=seed, steps=4)) as run:
            losses.append([step.loss for step in train(run, data)])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize("name", FAMILIES)
def test_cached_features_give_the_gradients_of_fresh_ones(
    name: str, family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of(name)
    visuals = Visuals(family)
    items = prepare(family, examples[:4], visuals)
    grads: list[dict[str, torch.Tensor]] = []
    with LoraRun(family, recipe()):
        _wake(family.module)
        for freeze in (False, True):
            if freeze:
                visuals.freeze()
            family.module.zero_grad(set_to_none=True)
            answer_loss(family, collate(family, items, visuals)).backward()  # type: ignore[no-untyped-call]
            grads.append({n: p.grad.clone() for n, p in family.module.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys() != set()
    for key, fresh in grads[0].items():
        torch.testing.assert_close(grads[1][key], fresh, rtol=1e-4, atol=1e-7)


def test_an_adapter_on_the_tower_gets_gradients_through_fresh_features(
    family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of("qwen")
    data = TrainingSet(family, examples)
    with LoraRun(family, recipe(steps=2)) as run:
        train(run, data)
    with LoraRun(family, recipe(steps=3, targets="all", log_every=1)) as run:
        steps = train(run, data)
    tower = [n for n in run.modules if not n.startswith("model.language_model.")]
    assert tower
    norms = steps[-1].grad_norms
    assert norms is not None
    assert all(norms[n] > 0 for n in tower)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_saved_folder_loads_in_plain_peft_and_gives_the_same_logits(
    name: str, family_of: MakeFamily, examples: list[Example], tmp_path: Path
) -> None:
    family, checkpoint = family_of(name)
    data = TrainingSet(family, examples)
    with LoraRun(family, recipe()) as run:
        train(run, data)
        batch = collate(family, data.items[:3], data.visuals)
        with torch.no_grad():
            ours = family.logits(family.forward(batch.embeds, batch.positions, batch.mask, None, batch.deepstack))
        save_adapter(run, tmp_path / "adapter", data=data, base=f"zoo:{name}", checkpoint=checkpoint)
    plain = AutoModelForImageTextToText.from_pretrained(checkpoint.folder, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    language_model = tuned.base_model.model.model.language_model
    with torch.no_grad():
        positions = batch.positions if family.spec.position_rows > 1 else batch.positions[0]
        out = language_model(
            inputs_embeds=batch.embeds, position_ids=positions, attention_mask=batch.mask, use_cache=False
        )
        theirs = tuned.base_model.model.lm_head(out.last_hidden_state)
    torch.testing.assert_close(ours[batch.learned], theirs[batch.learned], rtol=1e-5, atol=1e-5)
    with tuned.disable_adapter(), torch.no_grad():
        base = language_model(
            inputs_embeds=batch.embeds, position_ids=positions, attention_mask=batch.mask, use_cache=False
        )
    assert not torch.allclose(base.last_hidden_state[batch.learned], out.last_hidden_state[batch.learned], atol=1e-2)


def test_the_manifest_says_what_the_adapter_was_made_from_and_notices_other_weights(
    family_of: MakeFamily, examples: list[Example], tmp_path: Path
) -> None:
    family, checkpoint = family_of("qwen")
    data = TrainingSet(family, examples)
    folder = tmp_path / "adapter"
    with LoraRun(family, recipe(steps=1)) as run:
        train(run, data)
        saved = save_adapter(run, folder, data=data, base="zoo:qwen", checkpoint=checkpoint)
    assert read_manifest(folder) == saved
    assert saved.base_sha256 == checkpoint.sha256
    assert saved.data_sha256 == data_sha256(examples)
    assert saved.modules == run.modules
    written = "".join(p.read_text(errors="replace") for p in folder.iterdir() if p.suffix != ".safetensors")
    assert str(tmp_path) not in written
    assert str(checkpoint.folder) not in written
    weights = bytearray((folder / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS).write_bytes(weights)
    with pytest.raises(UserError, match="not the file that its manifest names"):
        read_manifest(folder)


def test_the_batch_a_row_stands_in_does_not_change_its_loss(family_of: MakeFamily, examples: list[Example]) -> None:
    """Padding is invisible: the mean over a batch is the token-weighted mean of its rows alone."""
    family, _ = family_of("llava")
    visuals = Visuals(family)
    items = prepare(family, [*examples[:3], replace(examples[3], answer="star; top left: red circle")], visuals)
    assert len({item.length for item in items}) > 1
    with torch.no_grad():
        together = float(answer_loss(family, collate(family, items, visuals)))
        alone = [float(answer_loss(family, collate(family, [item], visuals))) for item in items]
    tokens = [len(item.answer_ids) for item in items]
    mean = sum(a * t for a, t in zip(alone, tokens, strict=True)) / sum(tokens)
    assert together == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_the_answer_and_its_end_are_learned(name: str, family_of: MakeFamily, examples: list[Example]) -> None:
    family, _ = family_of(name)
    visuals = Visuals(family)
    items = prepare(family, examples[:3], visuals)
    batch = collate(family, items, visuals)
    for row, item in enumerate(items):
        places = batch.learned[row].nonzero().flatten().tolist()
        assert places[0] == len(item.layout.token_ids) - 1, "the prompt's last token predicts the first one"
        assert len(places) == len(item.answer_ids)
    learned = family.tokenizer.decode(batch.targets.tolist())
    end = family.tokenizer.decode([end_token(family)])
    assert learned == "".join(e.answer + end for e in examples[:3])


def test_no_row_of_the_mask_is_empty_and_none_sees_ahead() -> None:
    mask = causal_mask([2, 4])[:, 0]
    assert bool(mask.any(-1).all())
    assert not bool(mask.triu(1).any())
    assert mask[0, 1].tolist() == [True, True, False, False]
    assert mask[0, 3].tolist() == [True, True, False, True], "padding sees real tokens and itself"


def test_targets_that_match_nothing_or_no_linear_layer_are_refused(family_of: MakeFamily) -> None:
    family, _ = family_of("qwen")
    with pytest.raises(UserError, match="match no module"):
        LoraRun(family, recipe(targets="q_proj"))
    with pytest.raises(UserError, match="no linear layers"):
        LoraRun(family, recipe(targets=r"model\.language_model\.norm"))
    with pytest.raises(UserError, match="no regular expression"):
        LoraRun(family, recipe(targets="("))
    assert not any("lora" in n for n, _ in family.module.named_parameters())


def test_an_example_too_long_for_the_context_is_refused_not_cut(family_of: MakeFamily, examples: list[Example]) -> None:
    family, _ = family_of("qwen")
    long = replace(examples[0], answer="top left: red circle; " * 2000)
    with pytest.raises(UserError, match=r"train-0 has \d+ tokens"):
        TrainingSet(family, [long])
    with pytest.raises(UserError, match="empty answer"):
        TrainingSet(family, [replace(examples[0], answer="")])


def test_a_loss_that_is_no_number_stops_the_run_and_the_family_is_clean(
    family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of("qwen")
    with pytest.raises(FourwaysError, match="broke down"), LoraRun(family, recipe()) as run:
        next(iter(run.family.module.parameters())).data.fill_(float("nan"))
        train(run, TrainingSet(family, examples))
    assert not any("lora" in n for n, _ in family.module.named_parameters())


def test_the_peak_covers_weights_and_activations_and_never_falls(
    family_of: MakeFamily, examples: list[Example]
) -> None:
    family, _ = family_of("qwen")
    weights = sum(p.numel() * p.element_size() for p in family.module.parameters())
    with LoraRun(family, recipe(steps=5)) as run:
        peaks = [step.peak_bytes for step in train(run, TrainingSet(family, examples))]
    assert peaks == sorted(peaks)
    assert peaks[0] > weights
    assert peaks[-1] < 40 * weights


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_learning_rate_warms_up_then_falls_to_almost_nothing(schedule: str) -> None:
    plan = recipe(steps=100, warmup_steps=10, learning_rate=1.0, schedule=schedule)
    rates = [plan.learning_rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.02


def test_a_recipe_without_sense_is_refused() -> None:
    with pytest.raises(UserError, match="steps"):
        Recipe(seed=0, steps=0)
    with pytest.raises(UserError, match="warmup_steps"):
        Recipe(seed=0, steps=5, warmup_steps=5)


def _wake(module: nn.Module) -> None:
    """Give every B a value, so that every A gets a gradient."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.05, generator=generator)
