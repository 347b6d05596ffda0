"""The host's clock, which stamps every row."""

from __future__ import annotations

import time

from fourways.core.run import ClockRecord


def host_clock() -> ClockRecord:
    """The record of a run that one clock stamped: exact by definition. Times of a CUDA device that were taken on the
    host after it has synchronised need no second clock."""
    info = time.get_clock_info("perf_counter")
    return ClockRecord(
        name="one clock: time.perf_counter",
        resolution_ns=info.resolution * 1e9,
        residual_ns=0.0,
        note=f"{info.implementation}, monotonic; every process of the run is on this host",
        residual_p50_ns=0.0,
        residual_p99_ns=0.0,
        met=True,
    )
