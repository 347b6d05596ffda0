"""What a process does with time and memory while it runs: events, and counters that a measurement reads.

Never decides what is measured, never writes a row, never stops a program, and costs next to nothing while nobody
watches. Two lines put an event of anyone's code into the trace:

    from fourways import trace
    trace.emit("my_event")

Public face: `emit`, `begin`, `end`, `span`, `mark` (events), `track` (a request's row), `recording` (the trace that
they go to), `recover` (the trace of a recording that was cut off); `reading.requests` and `.stages_ms` (what a trace
tells of its requests), `otel` (a run for OpenTelemetry), `clocks` and `cuda_clock` (a device's clock on the
host's). Beside it `live_tensors.LiveTensors` (bytes of tensors alive, and their peak), `resident.PeakResident`
(resident size of this process, and its peak), `cuda_allocator.CudaAllocator` and `device.process_bytes` (a GPU's
memory), `timeline.Timeline` (bytes over time) and `energy.EnergyMeter` (joules of a block).
"""

from fourways.trace.messages import Counts
from fourways.trace.record import THREAD
from fourways.trace.recorder import begin, emit, end, mark, span, track
from fourways.trace.recordings import Recording, recording, recover

__all__ = [
    "THREAD", "Counts", "Recording", "begin", "emit", "end", "mark", "recording", "recover", "span", "track",
]  # fmt: skip
