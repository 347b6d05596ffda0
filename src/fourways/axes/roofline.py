"""What the physical limit of each phase is: the work that a request requires, and this machine's ceilings.

Runs after the timed part, on the engine's own model but not through its queue: nothing here is timed as an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

import torch
from torch import Tensor

from fourways.axes.contract import Opened
from fourways.axes.memory_stages import ProbeRequest, decode, prefill, store_for
from fourways.core.request import Generate
from fourways.core.rows import CeilingRow, WorkPhase, WorkRow
from fourways.engines.local.engine import LocalEngine
from fourways.families.contract import Family
from fourways.load import Ask
from fourways.trace.ceilings import measure
from fourways.trace.work import RequiredWork

Counted = tuple[WorkPhase, int, int, RequiredWork, int, int]
"""Phase, tokens, passes, work, bytes of keys and values, bytes that enter and leave."""


async def roofline(one: Opened, workload: str, asks: Sequence[Ask]) -> AsyncGenerator[WorkRow | CeilingRow, None]:
    """What each of these requests requires, and the ceilings of the machine under this candidate's dtype and threads.
    Nothing for an engine without access to its model. An adapter's own work (well below one in a hundred) is left
    out."""
    engine = one.engine
    if not isinstance(engine, LocalEngine):
        return
    threads = int(engine.info.settings["threads"])
    async with engine.borrow() as family:
        for ask in asks:
            for row in await asyncio.to_thread(_work, family, one.candidate.name, workload, ask, threads):
                yield row
        for trial in await asyncio.to_thread(_ceilings, family, one.candidate.name, threads):
            yield trial


def _work(family: Family, candidate: str, workload: str, ask: Ask, threads: int) -> list[WorkRow]:
    torch.set_num_threads(threads)
    with torch.inference_mode():
        return [
            WorkRow(
                candidate=candidate,
                workload=workload,
                phase=phase,
                item=ask.item,
                tokens=tokens,
                passes=passes,
                flops=float(work.flops),
                weight_bytes=float(work.weight_bytes),
                kv_bytes=float(kv_bytes),
                activation_bytes=float(activations),
            )
            for phase, tokens, passes, work, kv_bytes, activations in _phases(family, ask)
        ]


def _phases(family: Family, ask: Ask) -> Iterator[Counted]:
    """One request alone: its visuals, its prompt, and one token in the middle of its answer."""
    output, spec = ask.request.output, family.spec
    assert isinstance(output, Generate)
    conversation, budget = ask.request.conversation, ask.request.plan.visual_budget
    layout = family.layout(conversation, budget)
    units = tuple(unit for visual in conversation.visuals for unit in family.preprocess(visual, budget))
    request = ProbeRequest(conversation, layout, units, output.max_tokens)
    each, size, prompt = spec.kv_bytes_per_token, spec.dtype.itemsize, len(layout.token_ids)
    weights = [*family.module.parameters(), *family.module.buffers()]
    passes = max(1, output.max_tokens - 1)
    store = store_for(family, 1, prompt + passes // 2 + 1)

    features: list[Tensor] = []
    if units:
        with RequiredWork(weights) as vision:
            features = family.encode(units)
        moved = sum(unit.pixels.numel() * size for unit in units) + sum(f.nbytes for f in features)
        yield "vision_encode", sum(unit.tokens for unit in units), 1, vision, 0, moved

    with RequiredWork(weights) as first:
        chosen = prefill(family, request, features, store)
    yield "prefill", prompt, 1, first, prompt * each, (prompt * spec.hidden + spec.vocab_size) * size

    with RequiredWork(weights) as further:
        decode(family, layout, chosen, store, passes // 2)
    held = prompt + passes // 2 + 1
    yield "decode", 1, passes, further, held * each, (spec.hidden + spec.vocab_size) * size


def _ceilings(family: Family, candidate: str, threads: int) -> list[CeilingRow]:
    torch.set_num_threads(threads)
    spec = family.spec
    language = sum(p.numel() * p.element_size() for p in family.module.parameters())
    return [
        CeilingRow(
            candidate, str(spec.device), str(spec.dtype).removeprefix("torch."), threads, found.quantity, found.trial,
            found.size, found.value,
        )
        for found in measure(spec.device, spec.dtype, language)
    ]  # fmt: skip
