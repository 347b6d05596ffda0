"""A computed number, with all that is needed to believe it."""

from __future__ import annotations

from typing import Literal

import msgspec

Axis = Literal["accuracy", "latency", "memory", "tuning"]
AXES: tuple[Axis, ...] = ("accuracy", "latency", "memory", "tuning")
Status = Literal["ok", "too_few", "undefined", "failed"]


class Figure(msgspec.Struct, frozen=True):
    """value is None exactly when status is not "ok" or "too_few"; `reason` then says why.

    low, high: the 95 % interval (None: not defined). n: how many independent units it rests on, and n_unit which.
    definition: name@version of the metric. labels: what it is of (benchmark, category, concurrency, cache, stage, …).
    headline: it is its candidate's cell in the table of that axis.
    """

    axis: Axis
    candidate: str
    metric: str
    definition: str
    unit: str
    direction: Literal["higher", "lower", "none"]
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_unit: str
    status: Status
    reason: str | None = None
    labels: dict[str, str] = {}
    headline: bool = False


class Summary(msgspec.Struct, frozen=True):
    """summary.json: figures only."""

    schema: str
    run_id: str
    figures: tuple[Figure, ...]


SUMMARY_SCHEMA = "fourways.summary/v1"
