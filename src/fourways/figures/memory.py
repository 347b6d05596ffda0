"""Memory: weights, the peak of every stage and what it is made of, a training step, and what was predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fourways.core.figure import Figure
from fourways.core.rows import MemoryPredictedRow, MemoryQuantity, MemoryRow, MemoryStage
from fourways.figures.definition import Definition, Estimate, absent, figure, stated
from fourways.figures.failures import Failures
from fourways.stats import Interval, t_interval

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
ACTIVATIONS = Definition(
    "activations", "memory", "bytes", "lower", "processes",
    "a stage's stage_peak of tensors less weights, and in prefill and decode less the keys and values that the batch's "
    "context needs (kv_per_token x tokens): what is computed with, and room that the store of keys and values takes "
    "beyond its need",
    _OVER_PROCESSES,
)  # fmt: skip
TRAIN_STEP = Definition(
    "train_step_peak", "memory", "bytes", "lower", "processes",
    "most bytes alive within the second optimiser step of a LoRA fine-tune (rank 8 on the language model, AdamW, the "
    "tower frozen and its features at hand) on batch copies of the measured picture, prompt and answer length; "
    "quantity: as in stage_peak",
    _OVER_PROCESSES,
)  # fmt: skip
STAGE_END = Definition(
    "stage_end", "memory", "bytes", "lower", "processes",
    "bytes at the end of a stage on CUDA; quantity: active (allocated, or freed and awaited by another stream), "
    "inactive_split (free pieces of reserved blocks that cannot be given back), device (what the driver counts for "
    "this process, by NVML)",
    _OVER_PROCESSES,
)  # fmt: skip
NON_TORCH = Definition(
    "non_torch", "memory", "bytes", "lower", "processes",
    "bytes in use on the device at the end of a stage beyond what PyTorch's allocator reserved: the CUDA context, "
    "libraries, and whatever other processes hold there",
    _OVER_PROCESSES,
)  # fmt: skip
FRAGMENTATION = Definition(
    "fragmentation", "memory", "fraction", "lower", "processes",
    "inactive_split at the end of a stage / reserved within it", _OVER_PROCESSES,
)  # fmt: skip
PREDICTED = Definition(
    "predicted", "memory", "bytes", "lower", "configurations",
    "what the config alone said a stage would need, before anything was loaded; stage and quantity as measured",
    "none: it is arithmetic",
)  # fmt: skip
RATIO = Definition(
    "predicted_over_measured", "memory", "ratio", "none", "processes",
    "predicted / measured, of the same stage, quantity, picture, batch and context", "of measured, turned over",
)  # fmt: skip
SERVER = Definition(
    "server_memory", "memory", "bytes", "lower", "server starts",
    "what a server that reserves its memory as it starts said of itself; quantity: weights, activation_peak (in its "
    "own profiling run), kv_cache (room for keys and values: for as many tokens as the label says)",
    "none: it is said once",
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
DEFINITIONS = (
    PEAK, WEIGHTS, KV_PER_TOKEN, STAGE_PEAK, ACTIVATIONS, TRAIN_STEP, STAGE_END, NON_TORCH, FRAGMENTATION,
    PREDICTED, RATIO, SERVER, CONTEXT,
)  # fmt: skip

HEADLINE = PEAK
_TENSORS: tuple[MemoryQuantity, ...] = ("allocated", "live_tensors")
"""What the headline counts, the first that a candidate has."""
_WITH_KEYS: tuple[MemoryStage, ...] = ("prefill", "decode")
_REQUEST: tuple[MemoryStage, ...] = ("vision_encode", *_WITH_KEYS)
_SERVER_SAYS: tuple[MemoryQuantity, ...] = ("weights", "activation_peak", "kv_cache")
_RESERVED = "it reserves its memory as it starts, which is no request's need; server_memory says what for"


class Reading(NamedTuple):
    """What is measured apart."""

    stage: MemoryStage
    quantity: MemoryQuantity
    image: str
    batch: int

    @property
    def labels(self) -> dict[str, str]:
        return {"stage": self.stage, "quantity": self.quantity, "image": self.image, "batch": str(self.batch)}

    @property
    def definition(self) -> Definition:
        match self.stage, self.quantity:
            case "weights", _:
                return WEIGHTS
            case "kv_per_token", _:
                return KV_PER_TOKEN
            case _, "non_torch":
                return NON_TORCH
            case _, "active" | "inactive_split" | "device":
                return STAGE_END
            case "train_step", _:
                return TRAIN_STEP
            case _:
                return STAGE_PEAK


@dataclass(slots=True)
class _Measured:
    """Bytes by reading and by process, and the longest context of each process. predicted: bytes, context. server:
    quantity → bytes, tokens that fit."""

    bytes: dict[Reading, dict[int, float]] = field(default_factory=dict)
    context: dict[int, float] = field(default_factory=dict)
    predicted: dict[Reading, tuple[float, int]] = field(default_factory=dict)
    server: dict[MemoryQuantity, tuple[float, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Memory:
    """Collects readings; `figures` computes."""

    _found: dict[str, _Measured] = field(default_factory=dict)

    def add(self, row: MemoryRow) -> None:
        measured = self._found.setdefault(row.candidate, _Measured())
        if row.stage == "server":
            measured.server[row.quantity] = (float(row.bytes), row.context)
            return
        by_repeat = measured.bytes.setdefault(_reading(row), {})
        by_repeat[row.repeat] = max(by_repeat.get(row.repeat, 0.0), float(row.bytes))
        measured.context[row.repeat] = max(measured.context.get(row.repeat, 0.0), float(row.context))

    def add_predicted(self, row: MemoryPredictedRow) -> None:
        measured = self._found.setdefault(row.candidate, _Measured())
        measured.predicted[_reading(row)] = (float(row.bytes), row.context)

    def figures(self, failures: Failures) -> Iterator[Figure]:
        """All figures of the axis, candidate by candidate."""
        for candidate in dict.fromkeys([*self._found, *failures.candidates("memory")]):
            measured = self._found.get(candidate, _Measured())
            yield _headline(candidate, measured, failures)
            for reading, values in measured.bytes.items():
                definition = reading.definition
                labels = {} if definition in (WEIGHTS, KV_PER_TOKEN) else reading.labels
                yield figure(definition, candidate, _over_processes(values), labels)
            yield from _parts(candidate, measured)
            yield from _predicted(candidate, measured)
            yield from _server(candidate, measured)
            yield from _unknown(candidate, failures)
            if measured.context:
                yield figure(CONTEXT, candidate, _over_processes(measured.context), {})


def _reading(row: MemoryRow | MemoryPredictedRow) -> Reading:
    return Reading(row.stage, row.quantity, "{}x{}".format(*row.image_size), row.batch)


def _headline(candidate: str, measured: _Measured, failures: Failures) -> Figure:
    lost = failures.of_axis(candidate, "memory")
    if lost is not None:
        return absent(HEADLINE, candidate, *lost, {}, headline=True)
    for quantity in _TENSORS:
        peaks: dict[int, float] = {}
        counted = [reading for reading in measured.bytes if reading.quantity == quantity and reading.stage in _REQUEST]
        for reading in counted:
            for repeat, value in measured.bytes[reading].items():
                peaks[repeat] = max(peaks.get(repeat, 0.0), value)
        if peaks:
            labels: dict[str, str] = {"quantity": quantity}
            for name in ("image", "batch"):
                labels[name] = ", ".join(sorted({reading.labels[name] for reading in counted}))
            return figure(HEADLINE, candidate, _over_processes(peaks), labels, headline=True)
    reason = _RESERVED if measured.server else "no stage was measured"
    return absent(HEADLINE, candidate, "undefined", reason, {}, headline=True)


def _parts(candidate: str, measured: _Measured) -> Iterator[Figure]:
    """What each peak is made of, and how much of what was reserved is in pieces."""
    for reading, peaks in measured.bytes.items():
        if reading.quantity in _TENSORS and reading.stage in (*_REQUEST, "train_step"):
            values = _less_what_stays(reading, peaks, measured)
            if values:
                yield figure(ACTIVATIONS, candidate, _over_processes(values), reading.labels)
        pieces = measured.bytes.get(reading._replace(quantity="inactive_split"))
        if reading.quantity == "reserved" and pieces:
            shares = {r: pieces[r] / size for r, size in peaks.items() if r in pieces and size > 0}
            if shares:
                labels = {name: value for name, value in reading.labels.items() if name != "quantity"}
                yield figure(FRAGMENTATION, candidate, _over_processes(shares), labels)


def _less_what_stays(reading: Reading, peaks: Mapping[int, float], measured: _Measured) -> dict[int, float]:
    """By process, where its weights and keys are known."""
    weights = measured.bytes.get(reading._replace(stage="weights", quantity="exact"), {})
    each = measured.bytes.get(reading._replace(stage="kv_per_token", quantity="exact"), {})
    if reading.stage not in _WITH_KEYS:
        return {r: peak - weights[r] for r, peak in peaks.items() if r in weights}
    return {
        r: peak - weights[r] - each[r] * measured.context[r] * reading.batch
        for r, peak in peaks.items()
        if r in weights and r in each
    }


def _predicted(candidate: str, measured: _Measured) -> Iterator[Figure]:
    for reading, (size, context) in measured.predicted.items():
        yield stated(PREDICTED, candidate, size, reading.labels)
        values = measured.bytes.get(reading)
        if values is None or set(measured.context.values()) != {float(context)} or min(values.values()) <= 0:
            continue
        found = _over_processes(values)
        interval = None
        if found.interval is not None and found.interval.low > 0:
            interval = Interval(size / found.interval.high, size / found.interval.low)
        ratio = Estimate(size / found.value, interval, found.n, found.note)
        yield figure(RATIO, candidate, ratio, reading.labels)


def _server(candidate: str, measured: _Measured) -> Iterator[Figure]:
    for quantity, (size, tokens) in measured.server.items():
        labels: dict[str, str] = {"quantity": quantity}
        if tokens:
            labels["tokens"] = str(tokens)
        yield stated(SERVER, candidate, size, labels)


def _unknown(candidate: str, failures: Failures) -> Iterator[Figure]:
    """Single readings that nobody could say, or that broke."""
    for what, (status, reason) in failures.of_readings(candidate, "memory").items():
        if what == "train_step":
            yield absent(TRAIN_STEP, candidate, status, reason, {})
        elif what == "device":
            yield absent(STAGE_END, candidate, status, reason, {"quantity": what})
        elif what in _SERVER_SAYS:
            yield absent(SERVER, candidate, status, reason, {"quantity": what})


def _over_processes(values: Mapping[int, float]) -> Estimate:
    numbers = list(values.values())
    same = len(numbers) > 1 and len(set(numbers)) == 1
    note = f"all {len(numbers)} processes gave the same" if same else None
    return Estimate(sum(numbers) / len(numbers), t_interval(numbers), len(numbers), note)
