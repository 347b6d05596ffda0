"""Workloads and the client that times them against any `core.engine.Engine`.

Public face: `describe_32` and `Workload` (what is asked), `Ask` and `send` (asks it), `instants` (when), `Timing` and
`request_row` (what was observed). The client must never be the bottleneck unseen (it reports its own delay), drop a
request that failed, or compute a figure: percentiles and intervals belong to `figures`.
"""

from fourways.load.arrivals import instants
from fourways.load.client import Ask, Timing, send
from fourways.load.rows import request_row
from fourways.load.workload import DESCRIBE_32, Workload, describe_32

__all__ = ["DESCRIBE_32", "Ask", "Timing", "Workload", "describe_32", "instants", "request_row", "send"]
