"""One line, where times are shown first, of a machine that was busy or held back when the run began."""

from __future__ import annotations

from fourways.core.figure import Axis
from fourways.core.run import Environment, Reading, RunHeader
from fourways.core.slowing import BUSY, kind, slowing
from fourways.report.markup import foreign_text

TIMED: frozenset[Axis] = frozenset({"latency", "tuning"})
"""The axes that give times."""
_SAID = {
    "system.load": "{} tasks ran or waited (1, 5, 15 minutes)",
    "system.pressure": "tasks waited for {}",
    "process.priority": "this process ran as {}",
    "cpu.stolen": "a host took {}",
    "memory.physical": "memory was short ({})",
    "memory.swap": "memory lay on a disk ({})",
    "cpu.governor": "the clock's governor was {}",
    "cpu.energy_preference": "the processor leaned to {}",
    "cpu.frequency": "the clock was bounded ({})",
    "cpu.throttled": "heat took the clock down {}",
    "container.cpu_throttled": "the container's processor time was used up {}",
    "gpu.power_cap": "its power was capped ({})",
    "gpu.throttling": "its clock was held down ({})",
    "gpu.other_processes": "others computed on it ({})",
}
_LONGEST = 200


def slowed(header: RunHeader) -> str | None:
    """The line below a table of the command line."""
    busy = why_slow(header)
    return None if busy is None else f"{busy} The report has more: Settings of the machine."


def why_slow(header: RunHeader) -> str | None:
    """None for a run without times, and for a machine at rest."""
    if not TIMED & set(header.axes):
        return None
    cards = any(record.candidate.device.startswith("cuda") for record in header.candidates)
    found = slowing(header.environment, cards=cards)
    if not found:
        return None
    kinds = {kind(one.knob) in BUSY for one in found}
    how = {(True,): "busy", (False,): "held back", (False, True): "busy and held back"}[tuple(sorted(kinds))]
    said = "; ".join(_words(one, header.environment) for one in found)
    return f"The machine was {how} when the run began: {said}. Times may be too long."


def _words(reading: Reading, environment: Environment) -> str:
    what, value = kind(reading.knob), foreign_text(reading.value or "", _LONGEST)
    if what == "system.load" and (first := value.partition(" ")[0]).replace(".", "", 1).isdecimal():
        return f"{float(first):.1f} tasks on {environment.cores} core{'s' * (environment.cores != 1)}"
    card = "" if what == reading.knob else f"{reading.knob.partition('.')[0]}: "
    return card + _SAID[what].format(value)
