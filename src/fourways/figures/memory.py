"""Memory: weights, the peak of every stage, and what a token of context costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fourways.core.figure import Figure
from fourways.core.rows import MemoryQuantity, MemoryRow, MemoryStage
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.failures import Failures
from fourways.stats import t_interval

_OVER_PROCESSES = "Student's t over fresh processes; no width where all gave the same bytes"
WEIGHTS = Definition(
    "weights", "memory", "bytes", "lower", "processes",
    "bytes of parameters and buffers by their shapes, a tied tensor once", _OVER_PROCESSES,
)  # fmt: skip
KV_PER_TOKEN = Definition(
    "kv_per_token",
    "memory",
    "bytes",
    "lower",
    "processes",
    "bytes of keys and values a token of context",
    _OVER_PROCESSES,
)
STAGE_PEAK = Definition(
    "stage_peak", "memory", "bytes", "lower", "processes",
    "most bytes alive within a stage, weights included; mean over processes. quantity: live_tensors (CPU), allocated "
    "and reserved (CUDA's allocator), process_above_load (resident size above its value before the model was loaded)",
    _OVER_PROCESSES,
)  # fmt: skip
CONTEXT = Definition(
    "context", "memory", "tokens", "none", "processes", "tokens of prompt and answer in the measured request",
    _OVER_PROCESSES,
)  # fmt: skip
PEAK = Definition(
    "peak_memory", "memory", "bytes", "lower", "processes",
    "the largest stage_peak of a process, of tensors: allocated on CUDA, live tensors on a CPU; mean over processes",
    _OVER_PROCESSES,
)  # fmt: skip
DEFINITIONS = (PEAK, WEIGHTS, KV_PER_TOKEN, STAGE_PEAK, CONTEXT)

HEADLINE = PEAK
_TENSORS: tuple[MemoryQuantity, ...] = ("allocated", "live_tensors")
"""What the headline counts, the first that a candidate has."""


class Reading(NamedTuple):
    """What is measured apart."""

    stage: MemoryStage
    quantity: MemoryQuantity
    image: str
    batch: int

    @property
    def labels(self) -> dict[str, str]:
        return {"stage": self.stage, "quantity": self.quantity, "image": self.image, "batch": str(self.batch)}


@dataclass(slots=True)
class _Measured:
    """Bytes by reading and by process, and the longest context of each process."""

    bytes: dict[Reading, dict[int, float]] = field(default_factory=dict)
    context: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Memory:
    """Collects readings; `figures` computes."""

    _found: dict[str, _Measured] = field(default_factory=dict)

    def add(self, row: MemoryRow) -> None:
        measured = self._found.setdefault(row.candidate, _Measured())
        reading = Reading(row.stage, row.quantity, "{}x{}".format(*row.image_size), row.batch)
        by_repeat = measured.bytes.setdefault(reading, {})
        by_repeat[row.repeat] = max(by_repeat.get(row.repeat, 0.0), float(row.bytes))
        measured.context[row.repeat] = max(measured.context.get(row.repeat, 0.0), float(row.context))

    def figures(self, failures: Failures) -> Iterator[Figure]:
        """All figures of the axis, candidate by candidate."""
        for candidate in dict.fromkeys([*self._found, *failures.candidates("memory")]):
            measured = self._found.get(candidate, _Measured())
            yield _headline(candidate, measured, failures)
            for reading, values in measured.bytes.items():
                definition = {"weights": WEIGHTS, "kv_per_token": KV_PER_TOKEN}.get(reading.stage, STAGE_PEAK)
                labels = reading.labels if definition is STAGE_PEAK else {}
                yield figure(definition, candidate, _over_processes(values), labels)
            if measured.context:
                yield figure(CONTEXT, candidate, _over_processes(measured.context), {})


def _headline(candidate: str, measured: _Measured, failures: Failures) -> Figure:
    lost = failures.of_axis(candidate, "memory")
    if lost is not None:
        return absent(HEADLINE, candidate, *lost, {}, headline=True)
    for quantity in _TENSORS:
        peaks: dict[int, float] = {}
        counted = [reading for reading in measured.bytes if reading.quantity == quantity]
        for reading in counted:
            for repeat, value in measured.bytes[reading].items():
                peaks[repeat] = max(peaks.get(repeat, 0.0), value)
        if peaks:
            labels: dict[str, str] = {"quantity": quantity}
            for name in ("image", "batch"):
                labels[name] = ", ".join(sorted({reading.labels[name] for reading in counted}))
            return figure(HEADLINE, candidate, _over_processes(peaks), labels, headline=True)
    return absent(HEADLINE, candidate, "undefined", "no stage was measured", {}, headline=True)


def _over_processes(values: Mapping[int, float]) -> Estimate:
    numbers = list(values.values())
    same = len(numbers) > 1 and len(set(numbers)) == 1
    note = f"all {len(numbers)} processes gave the same" if same else None
    return Estimate(sum(numbers) / len(numbers), t_interval(numbers), len(numbers), note)
