"""What a health check says: `fourways.check/v1`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from fourways.compare.health.faults import Finding, Grade

SCHEMA = "fourways.check/v1"
Status = Literal["ok", "broken", "unanswered", "suspect", "slow", "no access", "not claimed", "not run"]
"""Of a probe: ok, the worst grade of what it found, or why it was not made. no access: what is asked of cannot be seen
from here. not claimed: nothing says that the model does this."""
Verdict = Literal["well", "broken", "unanswered", "suspect", "slow"]
_WORST: tuple[Grade, ...] = ("broken", "unanswered", "suspect", "slow")


class Probe(msgspec.Struct, frozen=True):
    """One look. ms: the wall time it took; None where it was not made. detail: what was seen, in words."""

    name: str
    status: Status
    ms: float | None
    detail: str
    findings: tuple[Finding, ...] = ()


class ModelHealth(msgspec.Struct, frozen=True):
    """target: a folder, or a URL without its secrets. engine: local or openai."""

    name: str
    target: str
    engine: str
    verdict: Verdict
    probes: tuple[Probe, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(found for probe in self.probes for found in probe.findings)


class Limits(msgspec.Struct, frozen=True):
    """timeout_s: of one request. slow_first_ms, slow_token_ms: from which a model is called slow."""

    timeout_s: float = 120.0
    slow_first_ms: float = 10_000.0
    slow_token_ms: float = 200.0


class Health(msgspec.Struct, frozen=True):
    """The whole check. checked: UTC, ISO 8601. passed: nothing is broken and everything answered."""

    schema: str
    version: str
    checked: str
    limits: Limits
    passed: bool
    models: tuple[ModelHealth, ...]


def worst(findings: Sequence[Finding]) -> Grade | None:
    """The gravest grade among them; None if there are none."""
    return next((grade for grade in _WORST if any(found.grade == grade for found in findings)), None)


def fails(verdict: Verdict) -> bool:
    """Whether a script should stop: suspect and slow are warnings."""
    return verdict in ("broken", "unanswered")
