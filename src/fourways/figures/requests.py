"""The timed requests of a run, gathered by candidate and setting as numbers only."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fourways.core.events import STAGES
from fourways.core.load import Load
from fourways.core.rows import RequestRow
from fourways.figures.client import Client

SENT = "dispatch_delay"
"""Known of every request, of failed ones too."""
TIMED = ("ttft", "e2e", "tpot", SENT)
REST, DISPATCH = "rest", "dispatch"
"""Parts of ttft that are no stage: what nobody explains, and the client's own delay."""
_PARTS = 20
_BEFORE_FIRST = STAGES[: STAGES.index("decode")]


class Setting(NamedTuple):
    """What is measured apart."""

    workload: str
    load: Load
    cache: str

    @property
    def labels(self) -> dict[str, str]:
        """A closed loop is named by its concurrency, an open one as `Load.label` has it."""
        sent = (
            {"load": self.load.label} if self.load.concurrency is None else {"concurrency": str(self.load.concurrency)}
        )
        return {"workload": self.workload, **sent, "cache": self.cache}

    @property
    def place(self) -> tuple[object, ...]:
        return self.workload, self.load.place, self.cache


@dataclass(slots=True)
class Values:
    """Numbers, and by which request each was given."""

    values: array[float] = field(default_factory=lambda: array("d"))
    owner: array[int] = field(default_factory=lambda: array("q"))

    def add(self, owner: int, *values: float) -> None:
        self.values.extend(values)
        self.owner.extend([owner] * len(values))


@dataclass(slots=True)
class Measured:
    """The requests of one candidate in one setting, as numbers only. due_ms, block, end_ms (nan: it has none),
    tokens (0 of one that failed, nan where nobody counted): of each. lost: which failed."""

    requests: int = 0
    client: Client = field(default_factory=Client)
    lost: array[int] = field(default_factory=lambda: array("q"))
    block: array[int] = field(default_factory=lambda: array("q"))
    due_ms: array[float] = field(default_factory=lambda: array("d"))
    end_ms: array[float] = field(default_factory=lambda: array("d"))
    tokens: array[float] = field(default_factory=lambda: array("d"))
    times: dict[str, Values] = field(default_factory=lambda: {name: Values() for name in TIMED})
    gaps: Values = field(default_factory=Values)
    stages: dict[str, Values] = field(default_factory=lambda: defaultdict(Values))
    parts: dict[str, Values] = field(default_factory=lambda: defaultdict(Values))

    def add(self, row: RequestRow) -> None:
        number, self.requests = self.requests, self.requests + 1
        self.block.append(row.block)
        self.due_ms.append(row.scheduled_ms)
        finished = row.error is None
        self.end_ms.append(row.scheduled_ms + row.e2e_ms if finished and row.e2e_ms is not None else nan)
        self.tokens.append(0.0 if not finished else nan if row.output_tokens is None else float(row.output_tokens))
        self.times[SENT].add(number, row.dispatched_ms - row.scheduled_ms)
        if row.error is not None:
            self.lost.append(number)
            for name, values in self.times.items():
                if name != SENT:
                    values.add(number, inf)
            return
        for name, value in (("ttft", row.ttft_ms), ("e2e", row.e2e_ms), ("tpot", row.tpot_ms)):
            if value is not None:
                self.times[name].add(number, value)
        self.gaps.add(number, *row.chunk_gaps_ms)
        for stage, value in row.stages_ms.items():
            self.stages[stage].add(number, value)
        for part, value in parts_of_ttft(row).items():
            self.parts[part].add(number, value)

    @property
    def failed(self) -> int:
        return len(self.lost)

    @property
    def in_order(self) -> NDArray[np.int64]:
        """The requests in the order in which they were due, block by block."""
        return np.lexsort((np.asarray(self.due_ms), np.asarray(self.block)))

    def together(self, load: Load) -> NDArray[np.int64]:
        """Of each request, the number of those it was served with, which share its fate: in a closed loop as many
        consecutive ones of a block as are inside at a time; in an open one, where nobody can say, one part in `_PARTS`
        of all of them."""
        order = self.in_order
        place = np.arange(order.size)
        if load.concurrency is None:
            groups = place * min(_PARTS, order.size) // max(1, order.size)
        else:
            blocks = np.asarray(self.block)[order]
            first = np.searchsorted(blocks, blocks)
            groups = first + (place - first) // load.concurrency
        found = np.empty(order.size, np.int64)
        found[order] = groups
        return found


def parts_of_ttft(row: RequestRow) -> dict[str, float]:
    """Part → ms; they add up to the row's ttft. Empty where it has none."""
    if row.ttft_ms is None:
        return {}
    parts = {DISPATCH: row.dispatched_ms - row.scheduled_ms}
    parts |= {stage: row.stages_ms[stage] for stage in _BEFORE_FIRST if stage in row.stages_ms}
    return {**parts, REST: row.ttft_ms - sum(parts.values())}
