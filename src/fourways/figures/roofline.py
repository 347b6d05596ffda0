"""Which share of the physical limit each phase reaches: the least time that its work needs, over the time it took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from fourways.core.figure import Figure
from fourways.core.load import Load
from fourways.core.rows import CeilingRow, RequestRow, WorkRow
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.stats import Interval, quantile_interval

_TRIALS = "the least and the greatest trial of the array size or matrix side that was fastest"
COPY = Definition(
    "copy_bandwidth", "latency", "bytes/s", "none", "trials",
    "the most bytes a second, read and written, that copying an array was seen to move under the candidate's thread "
    "count, over the sizes tried (one that a cache holds if the model's weights fit too, one that none holds)",
    _TRIALS,
)  # fmt: skip
MATMUL = Definition(
    "matmul_rate", "latency", "flop/s", "none", "trials",
    "the most floating-point operations a second that multiplying square matrices of the candidate's dtype was seen to "
    "reach under its thread count",
    _TRIALS,
)  # fmt: skip
_OVER_REQUESTS = "order statistics over requests, taken as independent (n needs 6)"
LIMIT = Definition(
    "roofline_limit", "latency", "ms", "lower", "requests",
    "median over requests of the least time that a phase can take: the larger of required operations / matmul_rate and "
    "required bytes (weights once a pass, keys and values, what enters and leaves) / copy_bandwidth, times its passes; "
    "operations of linear layers, convolutions and attention, of attention only the pairs that the mask lets through",
    _OVER_REQUESTS,
)  # fmt: skip
SHARE = Definition(
    "roofline_share", "latency", "fraction", "higher", "requests",
    "median over requests of roofline_limit / the phase's measured time, at concurrency 1 with a cold cache, the same "
    "requests; above 1 only where memory is read faster than it is copied",
    _OVER_REQUESTS,
)  # fmt: skip
DEFINITIONS = (SHARE, LIMIT, COPY, MATMUL)

PARTS = {"vision_encode": ("vision_encode", "project"), "prefill": ("prefill",), "decode": ("decode",)}
"""Phase → the stages of a request in which it is done."""
_ALONE = Load("closed", 1)


@dataclass(slots=True)
class _Found:
    work: dict[tuple[str, str], dict[int, WorkRow]] = field(default_factory=lambda: defaultdict(dict))
    took: dict[tuple[str, str], dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    ceilings: dict[str, dict[int, list[float]]] = field(default_factory=dict)


@dataclass(slots=True)
class Roofline:
    """Collects; `figures` computes."""

    _found: dict[str, _Found] = field(default_factory=lambda: defaultdict(_Found))

    def add_work(self, row: WorkRow) -> None:
        self._found[row.candidate].work[row.workload, row.phase][row.item] = row

    def add_ceiling(self, row: CeilingRow) -> None:
        by_size = self._found[row.candidate].ceilings.setdefault(row.quantity, {})
        by_size.setdefault(row.size, []).append(row.value)

    def add_request(self, row: RequestRow) -> None:
        """Only what was asked alone, of pictures that nobody had seen."""
        if row.error is not None or row.cache != "cold" or row.load != _ALONE:
            return
        for phase, stages in PARTS.items():
            if stages[0] in row.stages_ms:
                took = sum(row.stages_ms.get(stage, 0.0) for stage in stages)
                self._found[row.candidate].took[row.workload, phase][row.item] = took

    def figures(self) -> Iterator[Figure]:
        for candidate, found in self._found.items():
            best = {quantity: max(sizes.values(), key=max) for quantity, sizes in found.ceilings.items()}
            for definition, quantity in ((COPY, "copy_bytes_per_s"), (MATMUL, "matmul_flops_per_s")):
                if values := best.get(quantity):
                    estimate = Estimate(max(values), Interval(min(values), max(values)), len(values))
                    yield figure(definition, candidate, estimate, {})
            if len(best) < 2:
                continue
            copy, matmul = max(best["copy_bytes_per_s"]), max(best["matmul_flops_per_s"])
            for (workload, phase), rows in found.work.items():
                labels = {"workload": workload, "concurrency": "1", "cache": "cold", "stage": phase}
                limits = {item: limit_ms(row, copy, matmul) for item, row in rows.items()}
                bound = _bound(list(rows.values()), copy, matmul)
                yield _median(LIMIT, candidate, list(limits.values()), labels, bound)
                took = found.took.get((workload, phase), {})
                shares = [limit / took[item] for item, limit in limits.items() if took.get(item, 0.0) > 0]
                yield _median(SHARE, candidate, shares, labels, bound)


def limit_ms(row: WorkRow, copy_bytes_per_s: float, flops_per_s: float) -> float:
    """The least time of a phase of one request."""
    return 1e3 * row.passes * max(row.flops / flops_per_s, moved_bytes(row) / copy_bytes_per_s)


def moved_bytes(row: WorkRow) -> float:
    """Bytes that one pass must move."""
    return row.weight_bytes + row.kv_bytes + row.activation_bytes


def _bound(rows: list[WorkRow], copy: float, matmul: float) -> str:
    by_memory = sum(moved_bytes(row) / copy > row.flops / matmul for row in rows)
    return "limited by memory" if 2 * by_memory > len(rows) else "limited by arithmetic"


def _median(definition: Definition, candidate: str, values: list[float], labels: dict[str, str], note: str) -> Figure:
    if not values:
        return absent(definition, candidate, "undefined", "no request of this phase was timed alone", labels)
    value = float(np.quantile(values, 0.5, method="inverted_cdf"))
    return figure(definition, candidate, Estimate(value, quantile_interval(values, 0.5), len(values), note), labels)
