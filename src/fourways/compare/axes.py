"""The four axes, and which engines each wants open."""

from __future__ import annotations

from typing import Literal

from fourways.axes.accuracy import Accuracy
from fourways.axes.contract import Axis
from fourways.axes.latency import Latency
from fourways.axes.memory import Memory
from fourways.axes.tuning import Tuning
from fourways.core.figure import Axis as AxisName

AXES: dict[AxisName, Axis] = {
    "accuracy": Accuracy(),
    "latency": Latency(),
    "memory": Memory(),
    "tuning": Tuning(),
}

ENGINES: dict[AxisName, Literal["one", "all", "none"]] = {
    "accuracy": "one",
    "latency": "all",
    "memory": "none",
    "tuning": "one",
}
"""one: a candidate at a time, so that the device holds one model. all: together, because timing interleaves candidates.
none: nothing may be open beside the processes that the axis starts."""
