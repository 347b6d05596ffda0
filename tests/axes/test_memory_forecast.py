"""What a forecast is made of, and what fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from peft import LoraConfig, get_peft_model

from fourways.axes.prediction import (
    CARDS,
    Ask,
    Card,
    Forecast,
    Forecaster,
    Lora,
    StagePeak,
    Workload,
    card_named,
    fits,
    largest,
    needed_bytes,
)
from fourways.axes.prediction.cards import CONTEXT_BYTES
from fourways.axes.prediction.formats import kv_bytes_per_token
from fourways.core.candidate import Checkpoint
from fourways.core.errors import UserError
from fourways.families.registry import find_family
from fourways.tuning.targets import match_targets

Make = Callable[[str], Checkpoint]
REQUEST = Workload(((120, 90),), batch=2, context=300, new_tokens=4)


@pytest.mark.parametrize("name", ["qwen", "llava", "internvl"])
def test_shares_add_up_and_parts_are_all_weights(name: str, random_checkpoint: Make) -> None:
    checkpoint = random_checkpoint(name)
    forecast = Forecaster(Ask(checkpoint, "float32")).foresee(REQUEST)
    module = find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu").module
    held = {t.data_ptr(): t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers())}
    assert forecast.weights_bytes == sum(forecast.parts.values()) == sum(held.values())
    assert forecast.parts["head"] == 0, "the embedded models tie it to their embeddings"
    assert all(forecast.parts[part] > 0 for part in ("tower", "connector", "embeddings", "language"))
    assert forecast.context == 300
    assert forecast.kv_bytes == 2 * 300 * forecast.kv_bytes_per_token
    assert [stage.stage for stage in forecast.stages] == ["vision_encode", "prefill", "decode"]
    for stage in forecast.stages:
        assert sum(stage.shares.values()) == stage.peak_bytes
        assert all(share >= 0 for share in stage.shares.values())


def test_quantised_forms_take_what_their_formats_say(random_checkpoint: Make) -> None:
    checkpoint = random_checkpoint("internvl")
    plain = Forecaster(Ask(checkpoint, "bfloat16")).foresee(REQUEST)
    forecaster = Forecaster(Ask(checkpoint, "bfloat16", quantization="int4", kv_quantization="int8"))
    small, spec = forecaster.foresee(REQUEST), forecaster.family.spec
    layers = [
        module
        for layer in forecaster.family.module.get_decoder().layers
        for module in layer.modules()
        if hasattr(module, "in_features")
    ]
    by_hand = sum(
        m.out_features * (2 * m.in_features - m.in_features // 2 - 4 * -(-m.in_features // 128)) for m in layers
    )
    assert plain.weights_bytes - small.weights_bytes == by_hand
    assert small.kv_bytes_per_token == 2 * spec.layers * spec.kv_heads * (spec.head_dim + 2)
    assert kv_bytes_per_token(spec, "int4") == 2 * spec.layers * spec.kv_heads * (spec.head_dim // 2 + 4)
    for before, after in zip(plain.stages, small.stages, strict=True):
        kept = 0 if before.stage == "vision_encode" else plain.kv_bytes - small.kv_bytes
        assert before.peak_bytes - after.peak_bytes == by_hand + kept


def test_a_training_step_holds_what_lora_and_adam_hold(random_checkpoint: Make) -> None:
    checkpoint = random_checkpoint("internvl")
    forecaster = Forecaster(Ask(checkpoint, "bfloat16", lora=Lora(4), train=True))
    (stage,) = forecaster.foresee(REQUEST).stages
    family = find_family(checkpoint.architecture).load(checkpoint, dtype="bfloat16", device="cpu")
    pattern, _ = match_targets(family, "llm")
    adapted = get_peft_model(family.module, LoraConfig(r=4, target_modules=pattern))
    learned = [p for p in adapted.parameters() if p.requires_grad]
    assert forecaster.lora_parameters == sum(p.numel() for p in learned)
    assert stage.shares["LoRA weights"] == sum(p.numel() * p.element_size() for p in learned)
    assert stage.shares["optimiser (AdamW, two moments)"] == 2 * stage.shares["gradients"]
    assert sum(stage.shares.values()) == stage.peak_bytes
    assert stage.shares["activations"] > 0


def test_an_adapter_makes_a_request_a_little_larger(random_checkpoint: Make) -> None:
    checkpoint = random_checkpoint("qwen")
    plain = Forecaster(Ask(checkpoint, "float32")).foresee(REQUEST)
    adapted = Forecaster(Ask(checkpoint, "float32", lora=Lora(8))).foresee(REQUEST)
    for before, after in zip(plain.stages, adapted.stages, strict=True):
        assert after.shares["weights"] - before.shares["weights"] == adapted.lora_bytes
    assert adapted.lora_bytes == 4 * adapted.lora_parameters
    half = Forecaster(Ask(checkpoint, "bfloat16", lora=Lora(8))).foresee(REQUEST)
    assert half.lora_bytes == 2 * half.lora_parameters, "what only answers has the model's own dtype"


def test_training_without_an_adapter_is_refused(random_checkpoint: Make) -> None:
    with pytest.raises(UserError, match="adapter"):
        Forecaster(Ask(random_checkpoint("qwen"), "float32", train=True))


def forecast_of(peak: int, weights: int = 0) -> Forecast:
    return Forecast({}, weights, 0, 0, 0, 0, 0, 0, 1, (StagePeak("prefill", peak, {}),))


def test_a_card_keeps_a_reserve_free() -> None:
    card = CARDS[0]
    room = card.usable_bytes - CONTEXT_BYTES
    assert fits(forecast_of(room, room), card)
    assert not fits(forecast_of(room + 1, room + 1), card)
    assert not fits(forecast_of(room, 0), card), "what comes and goes leaves fragments"
    assert needed_bytes(1000, 1000) == 1000 + CONTEXT_BYTES
    assert all(0.88 < c.usable_bytes / (c.gigabytes * 2**30) < 1 for c in CARDS)


@pytest.mark.parametrize(
    "shape", [lambda n: n, lambda n: n * n // 64, lambda n: max(n, 40 * n - 3000), lambda n: n + 500]
)
@pytest.mark.parametrize("start", [1, 7, 300])
def test_the_largest_that_fits_is_found_for_any_growing_need(shape: Callable[[int], int], start: int) -> None:
    mib = 1 << 20
    asked: list[int] = []

    def foresee(number: int) -> Forecast:
        asked.append(number)
        return forecast_of(shape(number) * mib, shape(number) * mib)

    for room in (450, 700, 3000, 10**6):
        card = Card(1, "test", CONTEXT_BYTES + room * mib)
        for step, most in ((1, 1024), (8, 1024)):
            by_hand = [n for n in range(step, most + 1, step) if shape(n) <= room]
            asked.clear()
            assert largest(foresee, card, start, most, step) == (by_hand[-1] if by_hand else None)
            assert len(asked) <= 25


def test_what_the_model_cannot_take_does_not_fit() -> None:
    found = largest(lambda n: None if n > 10 else forecast_of(0), CARDS[0], 4, 100)
    assert found == 10


def test_a_card_is_named_by_its_size() -> None:
    assert card_named("24GB") is card_named(" 24 ") is next(card for card in CARDS if card.gigabytes == 24)
    with pytest.raises(UserError, match="no known size"):
        card_named("25GB")


def test_what_was_foreseen_before_changes_no_byte(random_checkpoint: Make) -> None:
    ask = Ask(random_checkpoint("qwen"), "bfloat16")
    asked = [
        replace(REQUEST, batch=batch, context=context, prefill_tokens=tokens)
        for batch, context, tokens in ((1, 300, 4096), (5, 300, 4096), (5, 700, 700))
    ]
    old = Forecaster(ask)
    for workload in asked:
        assert old.foresee(workload) == old.foresee(workload) == Forecaster(ask).foresee(workload)


def test_fewer_requests_prefilled_together_need_less(random_checkpoint: Make) -> None:
    forecaster = Forecaster(Ask(random_checkpoint("internvl"), "bfloat16"))
    all_at_once = forecaster.foresee(replace(REQUEST, batch=6))
    in_turn = forecaster.foresee(replace(REQUEST, batch=6, prefill_tokens=700))
    assert (all_at_once.together, in_turn.together) == (6, 2)
    assert in_turn.kv_bytes == all_at_once.kv_bytes, "all requests keep theirs"
    for at_once, turn in zip(all_at_once.stages, in_turn.stages, strict=True):
        if turn.stage == "decode":
            assert turn == at_once, "all decode together"
        else:
            assert turn.shares["activations"] < at_once.shares["activations"] / 2
