"""Findings of single questions (a benchmark, a load, a stage), and the one verdict that they make together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fourways.core.verdict import AxisVerdict, Ground, Verdict
from fourways.evidence.comparison.facts import Both

_WORST: tuple[Verdict, ...] = ("not reproduced", "not comparable", "reproduced")
"""A difference that was seen outweighs what could not be seen, and that outweighs what agrees."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one question came to. statistics: for machines."""

    verdict: Verdict
    reason: str
    statistics: Mapping[str, float] = field(default_factory=dict)


def together(candidate: str, ground: Ground, findings: Sequence[Finding]) -> AxisVerdict:
    """The verdict of all findings, with the reasons that decide it first. findings: not empty."""
    order = sorted(findings, key=lambda one: _WORST.index(one.verdict))
    statistics = {name: value for one in findings for name, value in one.statistics.items()}
    return AxisVerdict(candidate, ground, order[0].verdict, tuple(one.reason for one in order), statistics)


def of_a_loss(both: Both, axis: Ground) -> Finding | None:
    """What is known where one of the runs lost the axis, or the new one a part of it; None where what both have can be
    judged.

    What an older run measured and the newer lost is a difference that was seen; the other way round there is nothing
    to repeat. Of an axis that the old run lost in part, the rest is judged.
    """
    old, new = both.old.lost(axis), both.new.lost(axis)
    if old is not None and not both.old.has(axis):
        also = "; neither does the new one" if new is not None else ""
        return Finding("not comparable", f"the old run has no {axis}: {old.message}{also}")
    if new is None or (old is not None and both.new.has(axis)):
        return None
    lost = f"lost a part of its {axis} ({new.where})" if both.new.has(axis) else f"has no {axis}, and the old one has"
    verdict: Verdict = "not comparable" if new.status == "undefined" else "not reproduced"
    return Finding(verdict, f"the new run {lost}: {new.message}")
