"""Which kernels a request runs on a CUDA device, and when, on the host's clock: a few requests, apart from all timing.

The profiler slows what it watches, so no row is made here. What comes out is for the trace (each kernel a span, on a
row of its candidate's) and for the run's header: how closely the device's clock was laid on the host's, and how many
kernels began, by the clocks, before they were launched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import torch

from fourways import trace
from fourways.axes import latency
from fourways.axes.contract import Opened, Settings
from fourways.core.events import Done
from fourways.core.request import Generate, Plan, Request
from fourways.core.run import ClockRecord
from fourways.trace.cuda_clock import Profiled, kernels

SAMPLE = 2
REPLY = Generate(max_tokens=4, ignore_eos=True)
"""Some thousands of kernels a request, which is what a page can show."""


async def device_clock(opened: Sequence[Opened], settings: Settings) -> ClockRecord | None:
    """Runs the sample on each candidate of a CUDA device, tells the trace its kernels, and judges the clock: the worst
    that was found. None where no candidate computes on such a device, or where its profiler gave no kernels."""
    clocks = []
    for one in opened:
        if not one.candidate.device.startswith("cuda"):
            continue
        requests = await asyncio.to_thread(_requests, one, settings)
        made = await profiled(one, requests)
        show(one.candidate.name, made)
        if made.clock is not None:
            clocks.append(made.clock)
    return max(clocks, key=lambda clock: clock.residual_p99_ns or 0.0, default=None)


async def profiled(one: Opened, requests: Sequence[Request]) -> Profiled:
    """The kernels of these requests, one request after the other, by torch.profiler. Nothing else may run on the
    device. The first request is asked once before, unwatched, so that no library is loaded in between."""
    for request in requests[:1]:
        await _answered(one, replace(request, id=f"{request.id}/before"))
    await one.engine.clear_caches()
    with kernels(torch.device(one.candidate.device)) as made:
        for request in requests:
            await _answered(one, request)
    return made


def show(candidate: str, made: Profiled) -> None:
    """Each kernel as a span, if something records."""
    row = trace.track(f"{candidate} kernels")
    for kernel in made.kernels:
        trace.mark(kernel.name, kernel.started_ns, kernel.ended_ns, row)


def _requests(one: Opened, settings: Settings) -> list[Request]:
    """Some that the latency axis warms up with: never one that it measures."""
    candidate = one.candidate
    plan = Plan(candidate.name, candidate.adapter, visual_budget=candidate.visual_budget)
    asks = latency.workload(settings.seed).warm_up(
        plan, engine=one.engine.info, items=range(SAMPLE), run_seed=settings.seed, prefix="kernels"
    )
    return [replace(ask.request if ask.read is None else ask.read(), output=REPLY) for ask in asks]


async def _answered(one: Opened, request: Request) -> None:
    async with aclosing(one.engine.stream(request)) as items:  # type: ignore[type-var]  # stream is a generator
        async for item in items:
            if isinstance(item, Done):
                return
