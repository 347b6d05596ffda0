"""Every knob, in the order in which it is told."""

from __future__ import annotations

from fourways.core.run import Reading
from fourways.evidence.environment import container, cpu, gpu, memory, process, system
from fourways.evidence.environment.knob import Knob, take
from fourways.evidence.environment.machine import Machine

CATALOGUE: tuple[Knob, ...] = (*cpu.KNOBS, *memory.KNOBS, *system.KNOBS, *process.KNOBS, *container.KNOBS)


def readings(machine: Machine | None = None) -> tuple[Reading, ...]:
    """How this machine stands now, card by card at the end. Reads only; never raises."""
    looked_at = machine or Machine()
    return (*(take(knob, looked_at) for knob in CATALOGUE), *gpu.readings(looked_at))
