"""The counter of live tensor bytes says exactly what was allocated."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.testing._internal.two_tensor import TwoTensor

from fourways.trace.live_tensors import LiveTensors, stored


@pytest.fixture
def counter() -> LiveTensors:
    return LiveTensors()


def test_an_allocation_counts_its_bytes_and_its_end_gives_them_back(counter: LiveTensors) -> None:
    with counter.watch():
        a = torch.zeros(1000)
        assert counter.live == 4000
        del a
    assert (counter.live, counter.peak) == (0, 4000)


def test_views_take_no_room_and_keep_the_whole_storage_alive(counter: LiveTensors) -> None:
    with counter.watch():
        a = torch.zeros(1000, dtype=torch.float64)
        corner = a.view(10, 100)[2:3].transpose(0, 1)
        del a
        assert counter.live == 8000
        del corner
    assert counter.live == 0


def test_in_place_operations_take_no_room(counter: LiveTensors) -> None:
    with counter.watch():
        a = torch.zeros(1000)
        a.add_(1).mul_(2).clamp_(0, 1)
        a[10:20].fill_(3)
    assert (counter.live, counter.peak) == (4000, 4000)


def test_a_resize_counts_the_difference(counter: LiveTensors) -> None:
    with counter.watch():
        a = torch.zeros(10)
        a.resize_(1000)
        assert counter.live == 4000


def test_peak_holds_operands_and_result_together(counter: LiveTensors) -> None:
    with counter.watch():
        a = torch.zeros(100, 100)
        b = a + 1
        del a
        c = b @ b
        del b
    assert (counter.live, counter.peak) == (40_000, 80_000)
    del c
    assert counter.live == 0


def test_freed_outside_the_watch_is_still_seen(counter: LiveTensors) -> None:
    with counter.watch():
        a = torch.zeros(1000)
    assert counter.live == 4000
    del a
    assert counter.live == 0


def test_parameters_are_counted_once_when_adopted_twice_or_tied(counter: LiveTensors) -> None:
    first, second = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
    second.weight = first.weight
    counter.adopt([*first.parameters(), *second.parameters()])
    counter.adopt(first.parameters())
    assert counter.live == 64 * 64 * 4


def test_what_autograd_keeps_is_alive_until_backward(counter: LiveTensors) -> None:
    weight = torch.randn(100, 100, requires_grad=True)
    counter.adopt([weight])
    with counter.watch():
        out = (weight @ weight).relu().exp()
        total = out.sum()
        del out
        assert counter.live == 3 * 40_000 + 4  # the weight; relu's and exp's results, saved for backward; the sum
        total.backward()
        assert counter.live == 2 * 40_000 + 4  # the weight and its gradient; the sum


def test_a_new_peak_starts_from_what_is_alive(counter: LiveTensors) -> None:
    with counter.watch():
        big = torch.zeros(1_000_000)
        small = torch.zeros(10)
        del big
        counter.reset_peak()
        assert counter.peak == 40
        small = small + 1
        assert counter.peak == 80


@pytest.mark.parametrize("train", [True, False])
def test_peak_equals_what_the_allocator_itself_reports(train: bool) -> None:
    """PyTorch's profiler reports every allocation of the CPU allocator: an independent witness. (No kernel here takes
    scratch space of its own, as the backward pass of LayerNorm does.)"""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.SiLU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 8))
    x = torch.randn(16, 32)

    def work() -> None:
        with torch.set_grad_enabled(train):
            loss = model(x).float().log_softmax(-1).square().mean()
        if train:
            loss.backward()

    work()
    model.zero_grad(set_to_none=True)
    counter = LiveTensors()
    counter.adopt([x, *model.parameters()])
    before = counter.live
    with counter.watch():
        work()
    model.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as witness:
        work()
    events = [e for e in witness.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    running = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        running += event.nbytes()
        peak = max(peak, running)
    assert counter.peak - before == peak


def test_a_wrapper_counts_the_bytes_of_the_tensors_inside_it(counter: LiveTensors) -> None:
    pair = TwoTensor(torch.zeros(100), torch.zeros(100))
    assert [part.nbytes for part in stored(pair)] == [400, 400]
    counter.adopt([pair, pair, pair.a])
    assert counter.live == 800
    del pair
    assert counter.live == 0
