"""What a health check says of models: `fourways.check/v1`."""

from __future__ import annotations

from typing import Literal

import msgspec

CHECK_SCHEMA = "fourways.check/v1"

Grade = Literal["broken", "unanswered", "suspect", "slow"]
"""broken: it cannot be used, or answers nonsense, and the evidence is firm. unanswered: no reply in the time that was
given, or it cannot be run here, so nothing can be said of its health. suspect: something is off, and the evidence is
thin. slow: it works, and took longer than the limits."""

Status = Literal["ok", "broken", "unanswered", "suspect", "slow", "no access", "not claimed", "not run"]
"""Of a probe: ok, the worst grade of what it found, or why it was not made. no access: what is asked of cannot be seen
from here. not claimed: nothing says that the model does this."""

Verdict = Literal["well", "broken", "unanswered", "suspect", "slow"]


class Finding(msgspec.Struct, frozen=True):
    """One fault that was found. code: its kind, which stays. message: what and where, with its numbers."""

    code: str
    grade: Grade
    message: str
    hint: str


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
