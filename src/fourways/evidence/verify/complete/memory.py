"""Memory: every reading of every fresh process, each once."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fourways.core.rows import MemoryQuantity, MemoryRow, MemoryStage
from fourways.core.run import RunHeader
from fourways.core.run_files import ROWS_FILE
from fourways.evidence.verify.complete.told import Told

_LAST: tuple[MemoryStage, MemoryQuantity] = ("kv_per_token", "exact")
"""What a whole request ends with (axes/memory_probe.py); only the training step may break after it."""
_MAY_BREAK: MemoryStage = "train_step"
_Reading = tuple[MemoryStage, MemoryQuantity]


class Memory:
    def __init__(self, header: RunHeader, told: Told) -> None:
        self._plan = header.plan
        self._told = told
        self._readings: dict[str, dict[int, set[_Reading]]] = {}

    def add(self, line: int, row: MemoryRow) -> Iterator[str]:
        """What is wrong with this row."""
        seen = self._readings.setdefault(row.candidate, {}).setdefault(row.repeat, set())
        if (row.stage, row.quantity) in seen:
            yield (
                f"{ROWS_FILE}, line {line}: {row.stage} {row.quantity} of {row.candidate}, repeat {row.repeat}, "
                "stands twice"
            )
        seen.add((row.stage, row.quantity))

    def missing(self, candidate: str) -> Iterator[str]:
        """Of a candidate that is finished and was not lost."""
        repeats = self._readings.get(candidate, {})
        if not repeats:
            yield f"{ROWS_FILE}: {candidate} is finished, and has no reading of memory"
        elif any(stage == "server" for readings in repeats.values() for stage, _ in readings):
            return
        elif self._plan is not None and not _counts_to(count := self._plan.memory_repeats, repeats):
            yield f"{ROWS_FILE}: {candidate} has {len(repeats)} repeats of memory, and {count} were planned"
        may_break = _MAY_BREAK in self._told.single(candidate)
        whole = set().union(*repeats.values())
        for repeat, readings in repeats.items():
            for stage, quantity in sorted((whole | {_LAST}) - readings):
                if not (may_break and stage == _MAY_BREAK):
                    yield f"{ROWS_FILE}: repeat {repeat} of {candidate} lacks {stage} {quantity}"

    def remarks(self) -> Iterator[str]:
        if self._plan is None and self._readings:
            yield "the header of an older version does not say how many repeats of memory were planned"


def _counts_to(count: int, numbers: Collection[int]) -> bool:
    """Whether the numbers, each once, are 0 … count - 1."""
    return len(numbers) == count and all(0 <= number < count for number in numbers)
