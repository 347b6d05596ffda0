"""What is said from the config alone is what the probe reads afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from fourways.axes.memory_gauges import Gauges
from fourways.axes.memory_stages import plan, run_request
from fourways.axes.memory_training import probe_recipe, train_step
from fourways.axes.prediction import ModelAsk, Workload, load_shapes, predict, request_peaks
from fourways.axes.prediction.counting import Foreseen
from fourways.axes.prediction.shapes import has_shape_only, shapes_only
from fourways.axes.prediction.workload import plan_shapes
from fourways.core.candidate import Candidate, Checkpoint, Dtype
from fourways.core.errors import CapabilityError, MediaError, UserError
from fourways.engines.local.adapters import Adapters
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.hub import look_at_config, shipped_configs
from fourways.trace.resident import PeakResident
from fourways.tuning.targets import match_targets

Make = Callable[[str], Checkpoint]
NAMES = ("qwen", "llava", "internvl")


def measured(family: Family, size: tuple[int, int], batch: int, new_tokens: int) -> dict[str, int]:
    """Stage → live tensors, as the probe reads them."""
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident)
        loaded = gauges.loaded(family)
        request = plan(family, size, None, new_tokens)
        readings = [*loaded, *run_request(family, request, batch, gauges)]
        readings += train_step(family, request, probe_recipe(batch), None, gauges)
    return {stage: size for stage, quantity, size in readings if quantity in ("exact", "live_tensors")}


@pytest.mark.parametrize(
    ("name", "dtype", "size", "batch", "new_tokens"),
    [
        ("qwen", "float32", (320, 240), 1, 8),
        ("qwen", "bfloat16", (100, 333), 3, 3),
        ("llava", "bfloat16", (100, 333), 3, 3),
        ("internvl", "float32", (320, 240), 2, 3),
    ],
)
def test_weights_and_a_requests_peaks_are_foretold_to_the_byte(
    name: str, dtype: Dtype, size: tuple[int, int], batch: int, new_tokens: int, random_checkpoint: Make
) -> None:
    checkpoint = random_checkpoint(name)
    real = find_family(checkpoint.architecture).load(checkpoint, dtype=dtype, device="cpu")
    found = measured(real, size, batch, new_tokens)
    said = predict(checkpoint, Candidate("a", model="m", dtype=dtype), size, batch, new_tokens)
    foretold = {stage: size for stage, _, size in said}
    for stage in ("weights", "vision_encode", "prefill", "decode"):
        assert foretold[stage] == found[stage], stage
    assert foretold["train_step"] == pytest.approx(found["train_step"], rel=0.005)
    assert foretold["kv_per_token"] == real.spec.kv_bytes_per_token


def test_requests_that_are_prefilled_in_turn_are_foretold_to_the_byte(random_checkpoint: Make) -> None:
    checkpoint = random_checkpoint("qwen")
    real = find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")
    request = replace(plan(real, (200, 150), None, 4), together=2)
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident)
        loaded = gauges.loaded(real)
        readings = [*loaded, *run_request(real, request, 5, gauges)]
    found = {stage: size for stage, quantity, size in readings if quantity == "live_tensors"}
    tokens = 2 * (request.context - 4) + 1
    workload = Workload(((200, 150),), batch=5, new_tokens=4, prefill_tokens=tokens)
    foretold = request_peaks(load_shapes(ModelAsk(checkpoint, "float32")), workload, "cpu")
    assert {stage: size for stage, _, size in foretold} == {stage: found[stage] for stage, _, _ in foretold}


def test_a_candidates_adapter_is_foretold_with_it(random_checkpoint: Make, tmp_path: Path) -> None:
    checkpoint = random_checkpoint("internvl")
    real = find_family(checkpoint.architecture).load(checkpoint, dtype="bfloat16", device="cpu")
    pattern, _ = match_targets(real, "llm")
    made = get_peft_model(real.module, LoraConfig(r=4, target_modules=pattern))
    made.save_pretrained(str(tmp_path))
    made.unload()
    adapters = Adapters(real)
    adapters.attach(adapters.load("a", tmp_path))
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident)
        readings = [*gauges.loaded(real), *run_request(real, plan(real, (200, 150), None, 3), 2, gauges)]
    found = {stage: size for stage, quantity, size in readings if quantity in ("exact", "live_tensors")}
    candidate = Candidate("a", model="m", dtype="bfloat16", adapter=str(tmp_path))
    foretold = {stage: size for stage, _, size in predict(checkpoint, candidate, (200, 150), 2, 3)}
    assert "train_step" not in foretold, "a fine-tune starts from a base model"
    for stage in ("weights", "vision_encode", "prefill", "decode"):
        assert foretold[stage] == found[stage], stage


def test_int8_weights_are_foretold_as_the_engine_makes_them(random_checkpoint: Make) -> None:
    checkpoint = random_checkpoint("internvl")
    try:
        family = find_family(checkpoint.architecture).load(
            checkpoint, dtype="bfloat16", device="cpu", quantization="int8"
        )
    except CapabilityError as error:
        pytest.skip(f"needs torchao: {error.message}")
    found = measured(family, (200, 150), 2, 3)
    candidate = Candidate("a", model="m", dtype="bfloat16", quantization="int8")
    foretold = {stage: size for stage, _, size in predict(checkpoint, candidate, (200, 150), 2, 3)}
    assert foretold["weights"] == found["weights"]
    for stage in ("vision_encode", "prefill", "decode", "train_step"):
        assert foretold[stage] == pytest.approx(found[stage], rel=0.02), stage


@pytest.mark.parametrize("name", NAMES)
def test_running_alike_layers_once_changes_no_byte(
    name: str, random_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = load_shapes(ModelAsk(random_checkpoint(name), "bfloat16"))
    workload = Workload(((320, 240), (100, 90)), batch=2, context=400, new_tokens=4)
    for target in ("cpu", "cuda"):
        once = request_peaks(family, workload, target)
        with monkeypatch.context() as patched:
            patched.setattr(Foreseen, "alike", lambda self, module, known: nullcontext())
            every = request_peaks(family, workload, target)
        assert once == every


def test_alike_layers_are_really_run_once(random_checkpoint: Make) -> None:
    family = load_shapes(ModelAsk(random_checkpoint("internvl"), "float32"))
    runs = 0

    def count(*_: object) -> None:
        nonlocal runs
        runs += 1

    for layer in family.module.get_decoder().layers:
        layer.self_attn.register_forward_pre_hook(count)
    request_peaks(family, Workload(((64, 64),), new_tokens=2), "cpu")
    assert len(family.module.get_decoder().layers) > 2
    assert runs == 2, "one layer of the prefill, one of the decode step"


def test_weights_and_activations_have_no_bytes(random_checkpoint: Make) -> None:
    family = load_shapes(ModelAsk(random_checkpoint("qwen"), "float32"))
    assert all(has_shape_only(parameter) for parameter in family.module.parameters())
    with shapes_only():
        features = family.encode(plan_shapes(family, Workload(((300, 200),))).units)
    assert all(has_shape_only(feature) for feature in features)


def test_several_pictures_and_a_context_are_what_was_asked(random_checkpoint: Make) -> None:
    family = load_shapes(ModelAsk(random_checkpoint("llava"), "float32"))
    one = plan_shapes(family, Workload(((200, 100),)))
    two = plan_shapes(family, Workload(((200, 100), (64, 300)), context=900, new_tokens=20))
    assert len(two.layout.visuals) == 2
    assert two.context == 900
    assert len(two.layout.token_ids) == 880 == two.layout.positions.shape[1] == len(two.layout.visual_mask)
    assert two.layout.next_position == int(two.layout.positions.max()) + 1
    assert int(two.layout.visual_mask.sum()) > int(one.layout.visual_mask.sum())


def test_more_of_anything_never_needs_less(random_checkpoint: Make) -> None:
    family = load_shapes(ModelAsk(random_checkpoint("qwen"), "bfloat16"))

    def peak(workload: Workload) -> int:
        return max(size for _, _, size in request_peaks(family, workload, "cuda"))

    few = peak(Workload(((200, 200),), batch=1, context=300, new_tokens=4))
    assert few < peak(Workload(((200, 200),), batch=2, context=300, new_tokens=4))
    assert few < peak(Workload(((200, 200),), batch=1, context=2000, new_tokens=4))


def test_a_mask_costs_its_float_form_on_cuda_only(random_checkpoint: Make) -> None:
    family = load_shapes(ModelAsk(random_checkpoint("internvl"), "bfloat16"))
    workload = Workload(((64, 64),), batch=1, context=4000, new_tokens=2)
    on = {target: {s: b for s, _, b in request_peaks(family, workload, target)} for target in ("cpu", "cuda")}
    assert on["cuda"]["prefill"] - on["cpu"]["prefill"] >= 3998**2 * 2


def test_what_cannot_be_asked_is_said_in_words(random_checkpoint: Make) -> None:
    family = load_shapes(ModelAsk(random_checkpoint("qwen"), "float32"))
    with pytest.raises(UserError, match="the model's holds"):
        plan_shapes(family, Workload(((64, 64),), context=family.spec.context + 1))
    with pytest.raises(UserError, match="the context is 20"):
        plan_shapes(family, Workload(((300, 300),), context=20))
    with pytest.raises(MediaError, match="too thin"):
        plan_shapes(family, Workload(((4000, 4),)))


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_is_foretold(name: str) -> None:
    if name not in _SHIPPED and "FOURWAYS_TEST_ALL_CONFIGS" not in os.environ:
        pytest.skip("one of each family; FOURWAYS_TEST_ALL_CONFIGS=1 tries all")
    checkpoint = look_at_config(Path(shipped_configs()[name]))
    family = load_shapes(ModelAsk(checkpoint, "bfloat16"))
    peaks = {stage: size for stage, _, size in request_peaks(family, Workload(((336, 336),), new_tokens=4), "cuda")}
    weights = sum(p.numel() * 2 for p in family.module.parameters())
    assert all(weights < size < 1.5 * weights for size in peaks.values())


def test_threads_take_turns_and_leave_torch_as_it_was() -> None:
    own, inside, most = torch.nn.Module._apply, 0, 0

    def build(_: int) -> bool:
        nonlocal inside, most
        with shapes_only():
            inside += 1
            most = max(most, inside)
            layer = torch.nn.Linear(4, 4).to(torch.float16)
            inside -= 1
        return has_shape_only(layer.weight) and layer.weight.dtype is torch.float16

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(build, range(40)))
    assert most == 1
    assert torch.nn.Module._apply is own


def test_a_family_that_reads_values_is_refused_in_words(
    random_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = load_shapes(ModelAsk(random_checkpoint("qwen"), "float32"))
    monkeypatch.setattr(family, "encode", lambda units: units[0].pixels.nonzero())
    with pytest.raises(CapabilityError, match=r"cannot be foretold: its code fails on tensors .* no values"):
        request_peaks(family, Workload(((64, 64),)), "cpu")


_SHIPPED = ("Qwen2.5-VL-7B-Instruct", "Qwen3-VL-8B-Instruct", "llava-v1.6-mistral-7b-hf", "InternVL3-8B-hf")
