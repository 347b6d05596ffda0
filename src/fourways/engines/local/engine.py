"""The local engine's face: requests in, events out; the model runs in its own thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import transformers

from fourways import trace
from fourways.core.conversation import Conversation, Text, Turn
from fourways.core.engine import Capability, EngineInfo
from fourways.core.errors import CapabilityError, EngineError, FourwaysError
from fourways.core.events import Done, Event
from fourways.core.request import Request
from fourways.engines.local.adapters import Adapters
from fourways.engines.local.faults import explain
from fourways.engines.local.features import FeatureCache
from fourways.engines.local.gate import Gate
from fourways.engines.local.held import Held
from fourways.engines.local.kv import KVStore
from fourways.engines.local.lru import TensorCache
from fourways.engines.local.prefix import PrefixCache
from fourways.engines.local.prepare import Preparer
from fourways.engines.local.scheduler import MAX_PREFILL_TOKENS, Scheduler
from fourways.engines.local.sequence import Outbox, Sequence
from fourways.engines.local.stages import SEEN, Stages
from fourways.engines.local.threads import choose_threads, cores
from fourways.engines.local.worker import Worker
from fourways.families.contract import Family

MIB = 1 << 20
_CAPABILITIES: frozenset[Capability] = frozenset(
    {"generate", "rank", "logprobs", "adapters", "visual_features", "memory", "tuning"}
)


class LocalEngine:
    """One loaded family behind the engine contract. Requests run together; each one's answer is its own.

    threads: of the model; None: measured now. max_batch: requests that decode together. max_prefill_tokens: in one
    batch. feature_cache_bytes, prefix_cache_bytes: bounds of the two caches; 0 switches one off. The second also
    holds no more beginnings than requests may be inside at once: older ones belong to requests that have ended.
    kv_bytes: bound of running requests' keys and values (None: 2 GiB on a CPU, two fifths of what is free on a device).
    visual_budget, adapter: what a Plan that names none gets (`adapter` must be loaded before the first request).
    """

    def __init__(
        self,
        family: Family,
        *,
        threads: int | None = None,
        max_batch: int = 64,
        max_prefill_tokens: int = MAX_PREFILL_TOKENS,
        feature_cache_bytes: int = 256 * MIB,
        prefix_cache_bytes: int = 512 * MIB,
        kv_bytes: int | None = None,
        visual_budget: int | None = None,
        adapter: str | None = None,
    ) -> None:
        self._family = family
        self._visual_budget, self._adapter = visual_budget, adapter
        self._closed = False
        self._fault: FourwaysError | None = None
        self._live: set[Sequence] = set()
        spec = family.spec
        kv_bytes = kv_bytes if kv_bytes is not None else _kv_bytes(spec.device)
        chosen, measured = (threads, "as asked") if threads is not None else choose_threads(family)
        held = Held(spec.device)
        with torch.inference_mode():
            store = KVStore(spec, max_rows=max_batch + 1, max_bytes=kv_bytes, changed=partial(held.now, "kv_cache"))
        self._store = store
        self._features: FeatureCache = TensorCache(feature_cache_bytes, changed=partial(held.now, "feature_cache"))
        self._prefixes = PrefixCache(
            prefix_cache_bytes, max_items=2 * max_batch, changed=partial(held.now, "prefix_cache")
        )
        self._adapters = Adapters(family)
        self._scheduler = Scheduler(store, self._prefixes, max_rows=max_batch, max_prefill_tokens=max_prefill_tokens)
        self._worker = Worker(
            family, store, self._scheduler, self._adapters, self._features, self._prefixes, held,
            threads=chosen, again=self._prepare, broken=self._stopped,
        )  # fmt: skip
        preparing = max(1, min(4, cores() // 2))
        self._preparer = Preparer(
            family, store, self._features, self._prefixes,
            threads=preparing, ready=self._worker.submit, failed=self._worker.failed,
        )  # fmt: skip
        self._gate = Gate(2 * max_batch)
        self._seen = tuple(stage for stage in SEEN if stage != "project" or family.connectors)
        self._info = EngineInfo(
            "local", family.dialect, family.box_format, _CAPABILITIES,
            {
                "family": family.card.name, "device": str(spec.device), "dtype": str(spec.dtype).removeprefix("torch."),
                "threads": str(chosen), "threads_measured": measured, "preparing_threads": str(preparing),
                "max_batch": str(max_batch), "max_prefill_tokens": str(max_prefill_tokens),
                "feature_cache_bytes": str(feature_cache_bytes), "prefix_cache_bytes": str(prefix_cache_bytes),
                "kv_bytes": str(kv_bytes), "torch": str(torch.__version__), "transformers": transformers.__version__,
            },
        )  # fmt: skip
        self._worker.start()

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def family(self) -> Family:
        """The model. Run or change it only inside `borrow`."""
        return self._family

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        """Events as text appears, then one Done. The events' token ids together are all tokens of the reply (EOS
        excluded). Closing the iterator early frees the request's place at the next step."""
        if self._closed:
            raise EngineError("the engine is closed")
        asked = time.perf_counter_ns()
        await self._gate.enter()
        try:
            async with aclosing(self._stream(request, asked)) as items:
                async for item in items:
                    yield item
        finally:
            self._gate.leave()

    async def _stream(self, request: Request, asked_ns: int) -> AsyncGenerator[Event | Done, None]:
        outbox = Outbox()
        stages = Stages(asked_ns, trace.track(request.label), self._seen)
        plan = request.plan
        budget = plan.visual_budget if plan.visual_budget is not None else self._visual_budget
        sequence = Sequence(request, request.conversation, budget, None, outbox, stages)
        try:
            sequence.conversation = _seen(request)
            sequence.adapter = self._adapters.get(plan.adapter or self._adapter)
        except Exception as error:
            told = explain(error)
            yield sequence.failed("error", time.perf_counter_ns(), told.message, told.hint)
            return
        self._live.add(sequence)
        if self._closed or self._fault is not None:  # while it waited to be let in, or it was asked too late
            self._live.discard(sequence)
            yield self._last_word(sequence)
            return
        self._preparer.submit(sequence)
        first, ended = True, False
        try:
            while not ended:
                item = await outbox.queue.get()
                ended = isinstance(item, Done)
                if first and stages.track:
                    trace.mark("deliver", item.time_ns, time.perf_counter_ns(), stages.track)
                first = False
                yield item
        finally:
            self._live.discard(sequence)
            if not ended:
                self._worker.cancel(sequence)

    async def clear_caches(self) -> None:
        self._features.clear()
        self._prefixes.clear()

    async def close(self) -> None:
        """End all requests (as cancelled) and the threads."""
        self._closed = True
        ending = threading.Thread(target=self._shut, name="fourways-close", daemon=True)
        ending.start()
        while ending.is_alive():  # a pool's thread would hold the engine for a moment longer, and its memory with it
            await asyncio.sleep(0.002)
        self._end_all()

    def _shut(self) -> None:
        self._preparer.close()
        self._worker.stop()
        if self._worker.is_alive():
            self._worker.join()

    def _stopped(self, fault: FourwaysError) -> None:
        """Called by the worker as it breaks."""
        self._fault = fault
        self._end_all()

    def _end_all(self) -> None:
        for sequence in list(self._live):
            sequence.outbox.end(self._last_word(sequence))

    def _last_word(self, sequence: Sequence) -> Done:
        now, fault = time.perf_counter_ns(), self._fault
        if fault is None:
            return sequence.failed("cancelled", now, None, None)
        return sequence.failed("error", now, fault.message, fault.hint)

    def _prepare(self, sequence: Sequence) -> None:
        self._preparer.submit(sequence)

    # -- adapters and tuning ---------------------------------------------------------------------------------------
    async def load_adapter(self, name: str, folder: Path) -> None:
        """Check and keep the LoRA adapter in `folder` (PEFT format, safetensors); `Plan.adapter` then selects it. A
        name loaded before gets the new weights. Raises UserError with everything that is wrong."""
        await asyncio.wrap_future(self._worker.call(lambda: self._adapters.load(name, folder)))

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter. Raises UserError for a name that is not loaded."""
        await asyncio.wrap_future(self._worker.call(lambda: self._adapters.unload(name)))

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Family]:
        """The family for the caller alone: running requests finish first, new ones wait, no adapter is attached. On
        return both caches are forgotten, since the weights may be others. Leave the module as it was found, or changed
        for good."""
        inside, back = threading.Event(), threading.Event()

        def lend() -> None:
            self._adapters.attach(None)
            inside.set()
            back.wait()
            self._features.clear()
            self._prefixes.outdate()
            self._family.module.eval()

        done = self._worker.call(lend)
        done.add_done_callback(lambda _: inside.set())
        try:
            await asyncio.to_thread(inside.wait)
            if done.done():  # it was never lent
                done.result()
            yield self._family
        finally:
            back.set()
            await asyncio.wrap_future(done)

    # -- what a measurement reads -----------------------------------------------------------------------------------
    def counters(self) -> dict[str, int]:
        """Totals since the start, and sizes now: requests, batches, both caches, KV bytes."""
        return {
            **self._worker.counts,
            "running": len(self._scheduler.running),
            "waiting": len(self._scheduler.waiting),
            "kv_bytes": self._store.bytes,
            **{f"feature_{name}": value for name, value in self._features.counters().items()},
            **{f"prefix_{name}": value for name, value in self._prefixes.counters().items()},
        }


def _seen(request: Request) -> Conversation:
    """What the plan's visual path lets the model see."""
    if request.plan.visual_path == "fused":
        return request.conversation
    if request.plan.visual_path == "text_only":
        turns = (
            replace(turn, parts=tuple(part for part in turn.parts if isinstance(part, Text)))
            for turn in request.conversation.turns
        )
        return Conversation(tuple(Turn(turn.role, turn.parts) for turn in turns))
    raise CapabilityError(f"the local engine has no visual path {request.plan.visual_path!r}")


def _kv_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free * 2 // 5  # while the store grows there are two of it
    return 2048 * MIB
