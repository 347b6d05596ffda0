"""What a process does with time and memory while it runs: counters that a measurement reads.

Never decides what is measured, never writes a row, and costs nothing while nobody watches.

Public face: `live_tensors.LiveTensors` (bytes of tensors alive, and their peak), `resident.PeakResident` (resident size
of this process, and its peak).
"""
