"""The timed requests of a run, gathered by candidate and setting as numbers only."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from fourways.core.events import STAGES
from fourways.core.load import Load
from fourways.core.rows import RequestRow
from fourways.figures.client import Client

SENT = "dispatch_delay"
"""Known of every request, of failed ones too."""
TIMED = ("ttft", "e2e", "tpot", SENT)
REST, DISPATCH = "rest", "dispatch"
"""Parts of ttft that are no stage: what nobody explains, and the client's own delay."""
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
class Block:
    """Instants in ms after the block's start. tokens: None once a request's count is unknown."""

    first: float = inf
    last: float = -inf
    finished: int = 0
    tokens: int | None = 0


@dataclass(slots=True)
class Measured:
    """The requests of one candidate in one setting, as numbers only."""

    requests: int = 0
    client: Client = field(default_factory=Client)
    failed: int = 0
    times: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in TIMED})
    gaps: array[float] = field(default_factory=lambda: array("d"))
    gap_owner: array[int] = field(default_factory=lambda: array("q"))
    stages: dict[str, array[float]] = field(default_factory=dict)
    parts: dict[str, array[float]] = field(default_factory=dict)
    blocks: dict[int, Block] = field(default_factory=lambda: defaultdict(Block))

    def add(self, row: RequestRow) -> None:
        self.requests += 1
        block = self.blocks[row.block]
        block.first = min(block.first, row.scheduled_ms)
        self.times[SENT].append(row.dispatched_ms - row.scheduled_ms)
        if row.error is not None:
            self.failed += 1
            for name, values in self.times.items():
                if name != SENT:
                    values.append(inf)
            return
        for name, value in (("ttft", row.ttft_ms), ("e2e", row.e2e_ms), ("tpot", row.tpot_ms)):
            if value is not None:
                self.times[name].append(value)
        self.gaps.extend(row.chunk_gaps_ms)
        self.gap_owner.extend([self.requests] * len(row.chunk_gaps_ms))
        for stage, value in row.stages_ms.items():
            self.stages.setdefault(stage, array("d")).append(value)
        for part, value in parts_of_ttft(row).items():
            self.parts.setdefault(part, array("d")).append(value)
        block.finished += 1
        block.last = max(block.last, row.scheduled_ms + (row.e2e_ms or 0.0))
        unknown = block.tokens is None or row.output_tokens is None
        block.tokens = None if unknown else (block.tokens or 0) + (row.output_tokens or 0)


def parts_of_ttft(row: RequestRow) -> dict[str, float]:
    """Part → ms; they add up to the row's ttft. Empty where it has none."""
    if row.ttft_ms is None:
        return {}
    parts = {DISPATCH: row.dispatched_ms - row.scheduled_ms}
    parts |= {stage: row.stages_ms[stage] for stage in _BEFORE_FIRST if stage in row.stages_ms}
    return {**parts, REST: row.ttft_ms - sum(parts.values())}
