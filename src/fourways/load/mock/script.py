"""What becomes of each request, decided by the seed and the request's number alone: pure, no clock is read."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from fourways.load.mock.settings import MockSettings


@dataclass(frozen=True, slots=True)
class Script:
    """refused: the HTTP status it is refused with, or None. offsets_ns: of each token, from the start of service, in
    time that the server works. breaks_after: tokens after which the connection is cut, None for a whole reply."""

    refused: int | None
    offsets_ns: list[int]
    breaks_after: int | None


def script(settings: MockSettings, number: int, tokens: int, *, factor: float = 1.0) -> Script:
    """The script of request `number` (0, 1, … in the order of arrival) with a reply of `tokens`. factor: how many times
    slower than configured it is."""
    draw = random.Random(settings.seed << 40 ^ number)
    fate, status, cut = draw.random(), draw.choice(settings.error_statuses or (500,)), draw.randrange(tokens)
    if fate < settings.error_rate:
        return Script(status, [], None)
    ttft, gap = settings.ttft_ms * 1e6 * factor, settings.gap_ms * 1e6 * factor
    if settings.jitter == "none" or settings.spread == 0:
        offsets = [round(ttft + gap * k) for k in range(tokens)]
    else:
        steps = (ttft * _around_one(settings, draw), *(gap * _around_one(settings, draw) for _ in range(tokens - 1)))
        offsets = [round(at) for at in accumulate(steps)]
    breaks = fate < settings.error_rate + settings.break_rate
    return Script(None, offsets, cut if breaks else None)


def _around_one(settings: MockSettings, draw: random.Random) -> float:
    """A draw with mean 1."""
    spread = settings.spread
    if settings.jitter == "uniform":
        return draw.uniform(1 - spread, 1 + spread)
    variance = math.log1p(spread * spread)
    return draw.lognormvariate(-variance / 2, math.sqrt(variance))


class WorkingTime:
    """A clock that stands still while the server stalls. Instants are nanoseconds."""

    def __init__(self, stalls: Iterable[tuple[float, float]], epoch_ns: int) -> None:
        """stalls: (at, for) in seconds after `epoch_ns`; they may overlap."""
        spans: list[tuple[int, int]] = []
        for at_s, for_s in sorted(stalls):
            begin, end = epoch_ns + round(at_s * 1e9), epoch_ns + round((at_s + for_s) * 1e9)
            if spans and begin <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            else:
                spans.append((begin, end))
        self._spans = spans

    def after(self, start_ns: int, work_ns: int) -> int:
        """When `work_ns` of work that began at `start_ns` are done; never inside a stall."""
        at = start_ns + work_ns
        for begin, end in self._spans:
            if begin > at:
                break
            if end > start_ns:
                at += end - max(begin, start_ns)
        return at

    def all_after(self, start_ns: int, work_ns: Sequence[int]) -> list[int]:
        if not self._spans:
            return [start_ns + work for work in work_ns]
        return [self.after(start_ns, work) for work in work_ns]
