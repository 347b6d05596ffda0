"""Conversations → planned sequences with pixels ready, in a few threads, while the model runs.

Each distinct visual is preprocessed once, however many requests ask about it at the same time; one whose features (or
whose prompt's prefix) are cached is not touched at all.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from fourways.core.conversation import Visual
from fourways.core.errors import OutOfMemory, UserError
from fourways.core.request import Generate
from fourways.engines.local.features import FeatureCache, feature_key
from fourways.engines.local.kv import KVStore
from fourways.engines.local.prefix import PrefixCache
from fourways.engines.local.rank import continuation_ids
from fourways.engines.local.sequence import Sequence, SharedUnits
from fourways.families.contract import Family, PromptLayout, VisualLayout


class Preparer:
    """ready(sequence) and failed(sequence, error) are called from its threads, one of them for each sequence."""

    def __init__(
        self,
        family: Family,
        store: KVStore,
        features: FeatureCache,
        prefixes: PrefixCache,
        *,
        threads: int,
        ready: Callable[[Sequence], None],
        failed: Callable[[Sequence, Exception], None],
    ) -> None:
        self._family, self._store = family, store
        self._features, self._prefixes = features, prefixes
        self._ready, self._failed = ready, failed
        self._queue: queue.SimpleQueue[Sequence | None] = queue.SimpleQueue()
        self._shared: WeakValueDictionary[tuple[str, ...], SharedUnits] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name=f"fourways-prepare-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, sequence: Sequence) -> None:
        self._queue.put(sequence)

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (sequence := self._queue.get()) is not None:
            try:
                self._prepare(sequence)
            except Exception as error:
                self._failed(sequence, error)
            else:
                self._ready(sequence)
            del sequence  # what waits for the next one must not hold this one's pixels

    def _prepare(self, sequence: Sequence) -> None:
        if sequence.cancelled:
            return
        sequence.stages.until("queue", time.perf_counter_ns())
        sequence.generation = self._prefixes.generation
        layout = self._family.layout(sequence.conversation, sequence.visual_budget)
        sequence.plan(layout, self._limit(sequence, layout), self._family.tokenizer)
        if not self._store.fits(sequence.rows, sequence.reserve):
            raise OutOfMemory(
                f"a request of {sequence.reserve} tokens does not fit into the memory for keys and values",
                hint="ask for fewer tokens or a smaller visual budget, or give the engine more kv_bytes",
            )
        sequence.look_up(self._prefixes)
        if sequence.prefix is None:
            self._fetch(sequence, layout)
        sequence.stages.until("preprocess", time.perf_counter_ns())

    def _limit(self, sequence: Sequence, layout: PromptLayout) -> int:
        """How many tokens may follow the prompt. Raises UserError where the context is too short."""
        context, prompt = self._family.spec.context, int(layout.token_ids.shape[0])
        wanted = sequence.request.output
        if isinstance(wanted, Generate):
            if wanted.max_tokens < 1:
                raise UserError(f"max_tokens must be at least 1, not {wanted.max_tokens}")
            needed = wanted.max_tokens if wanted.ignore_eos else max(1, wanted.min_tokens)
            most = wanted.max_tokens
        else:
            needed = most = max(len(ids) for ids in continuation_ids(self._family.tokenizer, wanted))
        if prompt + needed > context:
            visual = sum(v.geometry.visual_tokens for v in layout.visuals)
            raise UserError(
                f"the prompt has {prompt} tokens ({visual} visual) and needs {needed} more, "
                f"but the model's context is {context}",
                hint="set a smaller visual budget, or shorten the text",
            )
        return min(most, context - prompt)

    def _fetch(self, sequence: Sequence, layout: PromptLayout) -> None:
        """Features where they are cached, else preprocessed units."""
        for n, (visual, plan) in enumerate(zip(sequence.conversation.visuals, layout.visuals, strict=True)):
            cached = [self._features.find(feature_key(key, sequence.adapter)) for key in plan.unit_keys]
            found = [tensor for tensor in cached if tensor is not None]
            if len(found) == len(cached):
                sequence.features[n], sequence.cached[n] = found, True
            else:
                sequence.units[n] = self._units(visual, plan, sequence.visual_budget)

    def _units(self, visual: Visual, plan: VisualLayout, budget: int | None) -> SharedUnits:
        with self._lock:
            shared = self._shared.get(plan.unit_keys)
            mine = shared is None
            if shared is None:
                shared = self._shared[plan.unit_keys] = SharedUnits()
        if mine:
            try:
                shared.units.set_result(self._family.preprocess(visual, budget))
            except Exception as error:
                shared.units.set_exception(error)
        shared.units.result()
        return shared
