"""Workloads and the client that times them against any `core.engine.Engine`.

Public face: `read_workload`, `draw` and `Workload` (what is asked; see `load.workload`), `Ask` and `send` (asks it),
`instants` (when), `Timing` and `request_row` (what was observed), `Meter` and `client_row` (how the client fared). The
client must never be the bottleneck unseen (it reports its own delay), drop a request that failed, or compute a figure:
percentiles and intervals belong to `figures`.
"""

from fourways.load.arrivals import instants
from fourways.load.client import Ask, Timing, send
from fourways.load.meter import Health, Meter
from fourways.load.rows import client_row, request_row
from fourways.load.workload import DESCRIBE_32, Description, Workload, draw, names, read_workload

__all__ = [
    "DESCRIBE_32", "Ask", "Description", "Health", "Meter", "Timing", "Workload", "client_row", "draw", "instants",
    "names", "read_workload", "request_row", "send",
]  # fmt: skip
