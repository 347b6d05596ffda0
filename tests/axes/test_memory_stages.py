"""What a request needs, stage by stage, is what its shapes say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from fourways.axes.memory_gauges import Gauges, Reading, storage_bytes
from fourways.axes.memory_stages import plan, run_request
from fourways.axes.memory_training import probe_recipe, train_step
from fourways.core.candidate import Checkpoint
from fourways.core.errors import UserError
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.trace.resident import PeakResident
from fourways.trace.timeline import Timeline

SIZE = (320, 240)
NEW_TOKENS = 8


@pytest.fixture(params=["qwen", "llava", "internvl"])
def family(request: pytest.FixtureRequest, random_checkpoint: Callable[[str], Checkpoint]) -> Family:
    checkpoint = random_checkpoint(request.param)
    return find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")


def peaks(family: Family, batch: int) -> dict[tuple[str, str], int]:
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident)
        loaded = gauges.loaded(family)
        request = plan(family, SIZE, None, NEW_TOKENS)
        found = [*loaded, *run_request(family, request, batch, gauges)]
    return dict_of(found)


def dict_of(readings: Iterable[Reading]) -> dict[tuple[str, str], int]:
    return {(stage, quantity): size for stage, quantity, size in readings}


def test_the_exact_readings_are_exact(family: Family) -> None:
    found = peaks(family, 1)
    weights = {p.data_ptr(): p.numel() * p.element_size() for p in family.module.parameters()}
    buffers = {b.data_ptr(): b.numel() * b.element_size() for b in family.module.buffers()}
    assert found["weights", "exact"] == sum(weights.values()) + sum(buffers.values())
    for stage in ("vision_encode", "prefill", "decode"):
        assert found[stage, "live_tensors"] > found["weights", "exact"], "what is alive includes the weights"


def test_live_tensors_are_the_same_each_time_and_more_for_a_larger_batch(family: Family) -> None:
    one, again, three = peaks(family, 1), peaks(family, 1), peaks(family, 3)
    for stage in ("vision_encode", "prefill", "decode"):
        assert one[stage, "live_tensors"] == again[stage, "live_tensors"]
        assert one[stage, "live_tensors"] < three[stage, "live_tensors"]
    context = len(plan(family, SIZE, None, NEW_TOKENS).layout.token_ids) + NEW_TOKENS
    more = three["decode", "live_tensors"] - one["decode", "live_tensors"]
    assert more >= 2 * context * family.spec.kv_bytes_per_token, "each request keeps its own keys and values"


def test_a_training_step_holds_weights_gradients_and_the_optimisers_state_and_leaves_the_model_as_it_was(
    family: Family,
) -> None:
    before = {name: value.clone() for name, value in family.module.state_dict().items()}
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident)
        gauges.loaded(family)
        request = plan(family, SIZE, None, NEW_TOKENS)
        one = dict_of(train_step(family, request, probe_recipe(1), None, gauges))
        three = dict_of(train_step(family, request, probe_recipe(3), None, gauges))
    assert one.keys() == {("train_step", "live_tensors"), ("train_step", "process_above_load")}
    rank = 8
    adapter = sum(
        4 * rank * (module.in_features + module.out_features)
        for name, module in family.module.named_modules()
        if isinstance(module, torch.nn.Linear) and re.fullmatch(family.card.lora_targets["llm"], name)
    )
    assert one["train_step", "live_tensors"] > storage_bytes(family.module.parameters()) + 4 * adapter
    assert three["train_step", "live_tensors"] > one["train_step", "live_tensors"]
    after = family.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_timeline_touches_every_stages_peak_and_nothing_lies_above_it(family: Family) -> None:
    timeline = Timeline()
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident, timeline)
        gauges.loaded(family)
        request = plan(family, SIZE, None, NEW_TOKENS)
        found = dict_of(run_request(family, request, 1, gauges)) | dict_of(
            train_step(family, request, probe_recipe(1), None, gauges)
        )
    assert gauges.drawn == "live_tensors"
    stages = timeline.stages()
    assert [name for name, _, _ in stages] == ["vision_encode", "prefill", "decode", "train_step"]
    points = timeline.points()
    assert len(points) <= 500
    assert [at for at, _ in points] == sorted(at for at, _ in points)
    for name, start, end in stages:
        assert max(size for at, size in points if start <= at <= end) == found[name, "live_tensors"]


class Witness:
    """Stands where `Gauges` stand, counts nothing, and marks the stages for PyTorch's profiler."""

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """The profiler saw them."""

    def settle(self) -> None:
        """Nothing to give back."""

    def watch(self) -> AbstractContextManager[object]:
        return nullcontext()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        with record_function(f"stage:{name}"):
            yield

    def readings(self, stage: str) -> list[Reading]:
        return []


def allocated(program: Callable[[Witness], object]) -> dict[str, int]:
    """Stage → most bytes that PyTorch's CPU allocator had given out since the program began, by its own account."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        program(Witness())
    events = list(seen.profiler.kineto_results.events())  # type: ignore[union-attr]  # it ran
    spans = {e.name().partition(":")[2]: (e.start_ns(), e.end_ns()) for e in events if e.name().startswith("stage:")}
    running, peaks = 0, dict.fromkeys(spans, 0)
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        before, running = running, running + event.nbytes()
        for name, (start, end) in spans.items():
            if start <= event.start_ns() <= end:
                peaks[name] = max(peaks[name], before, running)
    return peaks


def test_live_tensors_are_what_pytorchs_own_allocator_gave_out(family: Family) -> None:
    """But for what it does not own (pixels in numpy's memory, while training), what was there before (some position
    tables), and scratch space inside a kernel, which is no tensor (the convolution of LLaVA's tower)."""
    request = plan(family, SIZE, None, NEW_TOKENS)
    with PeakResident() as resident:
        gauges = Gauges(torch.device("cpu"), resident)
        weights = next(size for stage, _, size in gauges.loaded(family) if stage == "weights")
        live = dict_of(run_request(family, request, 1, gauges))
        live |= dict_of(train_step(family, request, probe_recipe(1), None, gauges))
    witness = allocated(lambda w: list(run_request(family, request, 1, w)))
    witness |= allocated(lambda w: list(train_step(family, request, probe_recipe(1), None, w)))
    pixels = sum(unit.pixels.nbytes for unit in request.units)
    apart = {stage: live[stage, "live_tensors"] - weights - size for stage, size in witness.items()}
    assert set(apart) == {"vision_encode", "prefill", "decode", "train_step"}
    assert abs(apart["prefill"]) < 4096 and abs(apart["decode"]) < 4096
    assert abs(apart["train_step"] - pixels) < 4096
    assert -0.25 * live["vision_encode", "live_tensors"] < apart["vision_encode"] < 4096


def test_a_request_beyond_the_context_is_refused_in_words(family: Family) -> None:
    with pytest.raises(UserError, match="need a context of"):
        plan(family, SIZE, None, family.spec.context)


def test_tied_weights_are_counted_once() -> None:
    tensor = torch.zeros(10, 10)
    assert storage_bytes([tensor, tensor, torch.zeros(3)]) == 412
