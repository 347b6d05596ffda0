"""The probes of one model, one after the other: each timed, none ending the others by what it raises."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec

from fourways.compare.health.asking import Busy, Refused, Unanswered
from fourways.compare.health.faults import CATALOGUE, finding
from fourways.compare.health.outcome import Outcome
from fourways.compare.health.verdict import worst
from fourways.compare.opening import explain
from fourways.core.errors import CheckpointError, FourwaysError, OutOfMemory, UserError
from fourways.core.health import Finding, ModelHealth, Probe

Look = Callable[[], Awaitable[Outcome]]
Say = Callable[[str], None]
NOT_FINITE = "scores are not finite"


class Examination:
    """What is known of one model so far. say: progress, for a person who waits. hide: takes secrets out of what a
    server said, who may repeat the key that it was sent anywhere. hints: by code, what this run can say better than the
    catalogue."""

    def __init__(self, name: str, target: str, engine: str, say: Say) -> None:
        self.name, self.target, self.engine = name, target, engine
        self._say = say
        self.hide: Callable[[str], str] = str
        self.hints: dict[str, str] = {}
        self.probes: list[Probe] = []

    def say(self, what: str) -> None:
        self._say(f"{self.name}: {what}")

    async def look(self, name: str, look: Look, *, otherwise: str = "request.failed") -> tuple[Finding, ...]:
        """Makes a probe and returns what it found. otherwise: the code for an error that has none of its own."""
        self.say(name)
        began = time.perf_counter_ns()
        try:
            outcome = await look()
        except Exception as error:
            outcome = _failed(error, otherwise)
        outcome = self._told(outcome)
        ms = (time.perf_counter_ns() - began) / 1e6
        grade = worst(outcome.findings)
        status = grade or outcome.status or "ok"
        made = None if outcome.status is not None and grade is None else ms
        self.probes.append(Probe(name, status, made, outcome.detail, outcome.findings))
        return outcome.findings

    def _told(self, outcome: Outcome) -> Outcome:
        findings = tuple(
            msgspec.structs.replace(one, message=self.hide(one.message), hint=self.hints.get(one.code, one.hint))
            for one in outcome.findings
        )
        return Outcome(self.hide(outcome.detail), findings, outcome.status)

    def skip(self, outcome: Outcome, *names: str) -> None:
        """Probes that are not made, and why."""
        status = outcome.status or "not run"
        self.probes += [Probe(name, status, None, outcome.detail, outcome.findings) for name in names]

    def concluded(self) -> ModelHealth:
        found = [one for probe in self.probes for one in probe.findings]
        return ModelHealth(self.name, self.target, self.engine, worst(found) or "well", tuple(self.probes))


def _failed(error: Exception, otherwise: str) -> Outcome:
    """Raises UserError itself: what the user must write otherwise is no fault of the model."""
    if type(error) is UserError:
        raise error
    if isinstance(error, Unanswered):
        come = f"after {len(error.text):,} characters of a reply" if error.text else "with nothing said"
        return Outcome(str(error), (finding("unanswered", f"{error}, {come}"),))
    if isinstance(error, CheckpointError) and error.fault in CATALOGUE:
        return Outcome(error.message, (finding(error.fault, error.message, error.hint),))
    if isinstance(error, Busy):
        return Outcome(error.message, (finding("server.busy", error.message),))
    if isinstance(error, Refused) and NOT_FINITE in error.message:
        return Outcome(error.message, (finding("scores.not-finite", error.message),))
    known = explain(error)
    if not isinstance(error, FourwaysError | OSError) and otherwise != "load.failed":  # a loader fails in any way
        return Outcome(known.message, (finding("check.failed", known.message, known.hint),))
    if isinstance(known, OutOfMemory):
        return Outcome(known.message, (finding("load.no-room", known.message, known.hint),))
    return Outcome(known.message, (finding(otherwise, known.message, known.hint),))
