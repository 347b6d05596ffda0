"""The knobs of this process: its rank among the others, and Python's garbage collector."""

from __future__ import annotations

import gc

from fourways.evidence.environment.knob import Knob, Said
from fourways.evidence.environment.machine import Machine, Unread

_POLICIES = {0: "normal", 1: "first in, first out", 2: "round robin", 3: "batch", 5: "idle", 6: "deadline"}
_NICE, _POLICY = 16, 38
"""Fields of /proc/self/stat, counted after the command's name, which may hold blanks (proc(5): 19 and 41)."""


class Priority(Knob):
    """The niceness and the scheduling class."""

    name = "process.priority"

    def read(self, machine: Machine) -> Said:
        fields = machine.text("proc/self/stat").rpartition(") ")[2].split()
        if len(fields) <= _POLICY:
            raise Unread("/proc/self/stat is too short")
        nice, policy = int(fields[_NICE]), int(fields[_POLICY])
        value = f"nice {nice}, {_POLICIES.get(policy, f'class {policy}')}"
        if nice <= 0 and policy not in {3, 5}:
            return Said(value)
        return Said(value, "others go first: start the run without nice, chrt or a batch queue that lowers its rank")


class GarbageCollector(Knob):
    """Python's cyclic garbage collector, as it stands in this process. A pass stops every Python thread."""

    name = "process.garbage_collector"

    def read(self, machine: Machine) -> Said:
        steps = ", ".join(map(str, gc.get_threshold()))
        frozen = gc.get_freeze_count()
        return Said(f"{'on' if gc.isenabled() else 'off'}, thresholds {steps}, {frozen:,} objects frozen")


KNOBS: tuple[Knob, ...] = (Priority(), GarbageCollector())
