"""Workloads and the client that times them against any `core.engine.Engine`.

Public face: `describe_32` and `Workload` (what is asked), `closed_loop` (asks it), `Timing` and `request_row` (what was
observed). The client must never be the bottleneck unseen (it reports its own delay), drop a request that failed, or
compute a figure: percentiles and intervals belong to `figures`.
"""

from fourways.load.client import Timing, closed_loop
from fourways.load.rows import request_row
from fourways.load.workload import DESCRIBE_32, Workload, describe_32

__all__ = ["DESCRIBE_32", "Timing", "Workload", "closed_loop", "describe_32", "request_row"]
