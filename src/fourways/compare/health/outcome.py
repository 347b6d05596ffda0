"""What a probe saw, before it becomes a line of the report."""

from __future__ import annotations

from dataclasses import dataclass

from fourways.core.health import Finding, Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """detail: in words. status: None, unless the probe was not made."""

    detail: str
    findings: tuple[Finding, ...] = ()
    status: Status | None = None


def passed_over(status: Status, why: str) -> Outcome:
    """A probe that was not made."""
    return Outcome(why, (), status)
