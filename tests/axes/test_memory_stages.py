"""What a request needs, stage by stage, is what its shapes say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fourways.axes.memory_stages import Gauges, plan, run_request, storage_bytes
from fourways.core.candidate import Checkpoint
from fourways.core.errors import UserError
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.trace.resident import PeakResident

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
    return {(stage, quantity): size for stage, quantity, size in found}


def test_the_exact_readings_are_exact(family: Family) -> None:
    found = peaks(family, 1)
    weights = {p.data_ptr(): p.numel() * p.element_size() for p in family.module.parameters()}
    buffers = {b.data_ptr(): b.numel() * b.element_size() for b in family.module.buffers()}
    assert found["weights", "exact"] == sum(weights.values()) + sum(buffers.values())
    assert found["kv_per_token", "exact"] == family.spec.kv_bytes_per_token
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


def test_a_request_beyond_the_context_is_refused_in_words(family: Family) -> None:
    with pytest.raises(UserError, match="need a context of"):
        plan(family, SIZE, None, family.spec.context)


def test_tied_weights_are_counted_once() -> None:
    tensor = torch.zeros(10, 10)
    assert storage_bytes([tensor, tensor, torch.zeros(3)]) == 412
