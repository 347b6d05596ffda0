"""How grades of findings make a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.core.health import Finding, Grade, Verdict

_WORST: tuple[Grade, ...] = ("broken", "unanswered", "suspect", "slow")


def worst(findings: Sequence[Finding]) -> Grade | None:
    """The gravest grade among them; None if there are none."""
    return next((grade for grade in _WORST if any(found.grade == grade for found in findings)), None)


def fails(verdict: Verdict) -> bool:
    """Whether a script should stop: suspect and slow are warnings."""
    return verdict in ("broken", "unanswered")
