"""Which settings of a machine make what is timed on it take longer: those that a reader of times must hear of at once.

Others with advice blur times (turbo), or cost what every run on that machine pays (mitigations); they are told of where
all settings stand.
"""

from __future__ import annotations

import re

from fourways.core.run import Environment, Reading

BUSY = frozenset(
    {"system.load", "system.pressure", "process.priority", "cpu.stolen", "memory.physical", "memory.swap",
     "gpu.other_processes"}
)  # fmt: skip
"""Something else had the machine. `gpu.` stands for each card, as do those below."""
HELD_BACK = frozenset(
    {"cpu.governor", "cpu.energy_preference", "cpu.frequency", "cpu.throttled", "container.cpu_throttled",
     "gpu.power_cap", "gpu.throttling"}
)  # fmt: skip
"""The machine itself went slower than it can."""
_CARD = re.compile(r"^gpu\d+\.")


def kind(knob: str) -> str:
    """The knob's name as above: a card's without its number."""
    return _CARD.sub("gpu.", knob)


def slowing(environment: Environment, *, cards: bool) -> tuple[Reading, ...]:
    """The readings with advice that tell of longer times. cards: whether anything was timed on a GPU of the machine."""
    return tuple(
        one
        for one in environment.readings
        if one.advice is not None and kind(one.knob) in BUSY | HELD_BACK and (cards or not _CARD.match(one.knob))
    )
