"""Work of the model in the trace, on the engine's own row: the spec's events, and spans that say for how many.

A batch is shown if one of its requests is recorded, so what a trace costs follows the share of requests that it holds,
and so does its size. Nothing here happens at single tokens: decode steps in a row with one batch are one span, and what
they cost the engine is one comparison each.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext

from fourways import trace
from fourways.engines.local.held import Held
from fourways.engines.local.sequence import Sequence

_NOTHING = nullcontext()


def shown(batch: Collection[Sequence], event: str, span: str, held: Held) -> AbstractContextManager[None]:
    """Events `<event>_start` and `<event>_end` around a pass, the second with what is allocated by then, and a span
    named `<span> of <batch>`."""
    if any(sequence.stages.track for sequence in batch):
        return _Pass(event, f"{span} of {len(batch)}", held)
    return _NOTHING


class _Pass:
    __slots__ = ("_began", "_event", "_held", "_span")

    def __init__(self, event: str, span: str, held: Held) -> None:
        self._event, self._span, self._held = event, span, held
        self._began = 0

    def __enter__(self) -> None:
        self._began = time.perf_counter_ns()
        trace.emit(f"{self._event}_start")

    def __exit__(self, *_: object) -> None:
        self._held.emit(f"{self._event}_end")
        trace.mark(self._span, self._began, time.perf_counter_ns())


class Decoding:
    """Decode steps that follow one another without a change of the batch."""

    __slots__ = ("_began", "_recorded", "_size")

    def __init__(self) -> None:
        self._size = self._began = 0
        self._recorded = False

    def step(self, batch: Collection[Sequence]) -> None:
        """One begins. Between two of one size nothing may have started or left, or `end` was called."""
        if len(batch) != self._size:
            self.end()
            self._size, self._began = len(batch), time.perf_counter_ns()
            self._recorded = any(sequence.stages.track for sequence in batch)

    def end(self) -> None:
        """Something else begins, or nothing."""
        if self._recorded:
            trace.mark(f"decode of {self._size}", self._began, time.perf_counter_ns())
        self._size, self._recorded = 0, False
