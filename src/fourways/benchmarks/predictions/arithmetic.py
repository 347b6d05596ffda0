"""The last digit: a metric's value in the order of additions, and with the rounding, of the official programs.

The value itself, with its interval, comes from `figures`; the two differ by rounding errors of the floats only, and
where the official program rounds."""

from __future__ import annotations

from dataclasses import dataclass

from fourways.benchmarks.contract import Metric, MetricPart

_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Printed:
    """A figure as the official program prints it."""

    value: float
    unit: str


def _mean(part: MetricPart) -> float:
    total = float(len(part.values)) if part.weights is None else float(sum(part.weights))
    return float(sum(part.values)) / total if total else 0.0


def plainly(metric: Metric) -> Printed:
    """The parts from the first to the last, each mean a sum divided once."""
    return Printed(float(sum(part.coefficient * _mean(part) for part in metric.parts)), metric.unit)


def by_subtask(metric: Metric) -> Printed:
    """MME: the two parts of a subtask first, then the subtasks (`calculation.py`, `process_result`)."""
    means = [_mean(part) * part.coefficient for part in metric.parts]
    total = float(sum(sum(means[place : place + 2]) for place in range(0, len(means), 2)))
    return Printed(total, metric.unit)


def rounded_percent(metric: Metric) -> Printed:
    """VQA: percent, rounded to two decimals (`vqaEval.py`, `setAccuracy`)."""
    values = metric.parts[0].values
    return Printed(round(100 * float(sum(values)) / len(values), _DECIMALS), "percent")
