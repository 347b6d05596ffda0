"""Where one request's time went: stretches of wall time, one behind the other, without gaps.

Every instant between the request's arrival and its end belongs to exactly one stage (`core.events.STAGES` says to
which), so the stages add up to its length by construction. A request's spans go into the trace when it ends: never on
the way to its first token.

On a CUDA device the host runs ahead of the model. The ends of the encoder's and the connector's passes are therefore
CUDA events, laid on the host's clock after the prefill: at that moment the device has nothing left to do, because the
first token was read, so an event recorded then stands for the host's own instant. Nothing waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch
from torch import nn

from fourways import trace

Seen = Literal["preprocess", "queue", "vision_encode", "project", "prefill", "decode", "detokenize"]
"""The stages that this engine sees; `fetch` and `media_decode` lie before it."""


SEEN: tuple[Seen, ...] = ("preprocess", "queue", "vision_encode", "project", "prefill", "decode", "detokenize")


class Stages:
    """The stretches of one request. Filled in by one thread at a time. track: its track in the trace. seen: the stages
    that can be told apart."""

    __slots__ = ("_at", "_seen", "_spans", "track")

    def __init__(self, began_ns: int, track: int, seen: Sequence[Seen] = SEEN) -> None:
        self._at, self._seen = began_ns, seen
        self._spans: list[tuple[Seen, int, int]] = []
        self.track = track

    def until(self, stage: Seen, now_ns: int) -> None:
        """All that has not been accounted for so far was spent in `stage`."""
        if now_ns > self._at:
            self._spans.append((stage, self._at, now_ns))
            self._at = now_ns

    def end(self, now_ns: int, detokenize_ns: int) -> None:
        """The reply is complete. Text is made of tokens in small pieces, one behind each decode step; they are gathered
        into one stretch at the end, so that the stages still add up."""
        self.until("decode", max(self._at, now_ns - detokenize_ns))
        self.until("detokenize", now_ns)

    def ms(self) -> dict[str, float]:
        """Stage → milliseconds, 0 where the request did not pass through it."""
        spent: dict[str, float] = dict.fromkeys(self._seen, 0.0)
        for stage, began, ended in self._spans:
            spent[stage] += (ended - began) / 1e6
        return spent

    def show(self) -> None:
        """Into the trace."""
        if self.track:
            for stage, began, ended in self._spans:
                trace.mark(stage, began, ended, self.track)


class Laps:
    """When the passes of the tower and of the connector ended, in the encoding of one batch."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._laps: list[tuple[Seen, int | torch.cuda.Event]] = []

    def lap(self, stage: Seen) -> None:
        """What ran since the last lap was `stage`."""
        self._laps.append((stage, time.perf_counter_ns() if self._cuda is None else self._event()))

    @contextmanager
    def watch(self, connectors: Sequence[nn.Module]) -> Iterator[None]:
        """Encode in here: each pass of a connector is `project`, all else `vision_encode`."""
        with ExitStack() as hooks:
            for module in connectors:
                before = module.register_forward_pre_hook(lambda *_: self.lap("vision_encode"))
                after = module.register_forward_hook(lambda *_: self.lap("project"))
                hooks.callback(before.remove)
                hooks.callback(after.remove)
            yield
            self.lap("vision_encode")

    def read(self) -> tuple[list[tuple[Seen, int]], int]:
        """(stage, end) in order, and now, all on the host's clock. Call when the device has nothing left to do."""
        if self._cuda is None:
            return [(stage, end) for stage, end in self._laps if isinstance(end, int)], time.perf_counter_ns()
        anchor = self._event()
        anchor.synchronize()
        now = time.perf_counter_ns()
        ends = [
            (stage, now - int(end.elapsed_time(anchor) * 1e6)) for stage, end in self._laps if not isinstance(end, int)
        ]
        return ends, now

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        event.record(torch.cuda.current_stream(self._cuda))
        return event
