"""Steps of the model in the trace, on the engine's own row: the spec's events, and a span that says for how many.

A step is shown if one of its requests is recorded, so what a trace costs follows the share of requests that it holds,
and so does its size. While nothing records, a step costs one look at each request's track.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from fourways import trace
from fourways.engines.local.held import Held
from fourways.engines.local.sequence import Sequence

_NOTHING = nullcontext()


def shown(batch: Iterable[Sequence], event: str, span: str, held: Held | None = None) -> AbstractContextManager[None]:
    """Events `<event>_start` and `<event>_end` around a step, and the span. held: the second event says what is
    allocated by then (on a device that question costs some ten microseconds)."""
    if any(sequence.stages.track for sequence in batch):
        return _Step(event, span, held)
    return _NOTHING


class _Step:
    __slots__ = ("_began", "_event", "_held", "_span")

    def __init__(self, event: str, span: str, held: Held | None) -> None:
        self._event, self._span, self._held = event, span, held
        self._began = 0

    def __enter__(self) -> None:
        self._began = time.perf_counter_ns()
        trace.emit(f"{self._event}_start")

    def __exit__(self, *_: object) -> None:
        if self._held is None:
            trace.emit(f"{self._event}_end")
        else:
            self._held.emit(f"{self._event}_end")
        trace.mark(self._span, self._began, time.perf_counter_ns())
