"""Rows → figures: pure, no engine, no file but the reference tables that ship with it.

It must never invent a value: what cannot be computed is "undefined", "failed" or "too few", with the reason. Each
metric is defined once, here or with its benchmark, and carries name@version; a change of formula or interval is a new
version.

Public face: `compute`, `DEFINITIONS` and `TEXTS` (what every definition is), `conditions` and
`process_growth` (how a headline was measured), `pareto`, `parse_requirements` and `judge`, `against_published`,
`sampling_in_words`, `gate` (did it get worse since an older run?), `benchstat` (times as Go benchmark text)."""

from fourways.figures.benchstat import benchstat
from fourways.figures.catalogue import DEFINITIONS, TEXTS, definitions
from fourways.figures.compute import compute
from fourways.figures.conditions import conditions, process_growth
from fourways.figures.definition import Definition
from fourways.figures.gate import Gate, Gated, Side, gate
from fourways.figures.pareto import Placed, pareto
from fourways.figures.published import AgainstPublished, against_published
from fourways.figures.published import in_words as sampling_in_words
from fourways.figures.require import Clause, Verdict, judge, parse_requirements

__all__ = [
    "DEFINITIONS",
    "TEXTS",
    "AgainstPublished",
    "Clause",
    "Definition",
    "Gate",
    "Gated",
    "Placed",
    "Side",
    "Verdict",
    "against_published",
    "benchstat",
    "compute",
    "conditions",
    "definitions",
    "gate",
    "judge",
    "pareto",
    "parse_requirements",
    "process_growth",
    "sampling_in_words",
]
