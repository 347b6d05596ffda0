"""Every definition that a figure can carry: for the run's header and for the page that explains them."""

from __future__ import annotations

from fourways.figures import accuracy, energy, latency, load, memory, roofline, tuning
from fourways.figures.definition import Definition


def definitions() -> tuple[Definition, ...]:
    """All of them, axis by axis, the benchmarks' own included."""
    return (
        *accuracy.DEFINITIONS,
        *accuracy.benchmark_definitions(),
        *latency.DEFINITIONS,
        *load.DEFINITIONS,
        *roofline.DEFINITIONS,
        *energy.DEFINITIONS,
        *memory.DEFINITIONS,
        *tuning.DEFINITIONS,
    )


DEFINITIONS: dict[str, str] = {definition.name: definition.id for definition in definitions()}
"""Name → name@version, as it stands in a run's header."""

TEXTS: dict[str, str] = {definition.id: definition.text for definition in definitions()}
"""name@version → what it is, and how its interval comes about."""
