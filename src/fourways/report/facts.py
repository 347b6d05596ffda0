"""What the pictures need from rows.jsonl, read in one pass and held small: numbers, never replies or pixels."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from fourways.core.failed import FailureTally
from fourways.core.rows import (
    AnswerRow,
    FailureRow,
    MemoryTimelineRow,
    ProbeRow,
    RequestRow,
    Row,
    TermsRow,
    TrainStepRow,
)
from fourways.figures.requests import Setting
from fourways.report.answers import Answers

MOST_FAILURES = 200
MOST_KINDS = 200
OTHER_KINDS = "other reasons"
_OWN = re.compile(r"[\w-]*\d[\w-]*")


@dataclass(slots=True)
class Timings:
    """One candidate in one setting. Milliseconds; stages: sums over the requests that reported the stage."""

    ttft: list[float] = field(default_factory=list)
    e2e: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    requests: int = 0
    failed: int = 0


@dataclass(slots=True)
class Training:
    """One seed's fine-tune. losses: (step, loss). norms: (step, median, least, greatest) over the adapted modules."""

    task: str
    losses: list[tuple[int, float]] = field(default_factory=list)
    norms: list[tuple[int, float, float, float]] = field(default_factory=list)


Runs = dict[int, list[float]]
"""Run (fresh start or block) → the times of its requests; inf for those that failed."""

NotTaken = tuple[str, str, str]
"""The axis, what would have been read, and why it could not be."""


@dataclass(slots=True)
class Facts:
    """timelines: candidate → its memory over time. terms: candidate → what was asked of a load run; probes: of its
    search; runs: (candidate, setting, ttft, e2e or tpot) → what an A/B test rests on. timed_failures: candidate → why
    its timed requests failed, and how often; no more than MOST_KINDS reasons apart. failures: the first MOST_FAILURES
    of each status. failure_counts: status → how many there are. Apart from both, not_taken: readings that nobody could
    take, which lost nothing that was asked, with the candidates that they would have been of."""

    timings: dict[Setting, dict[str, Timings]] = field(default_factory=lambda: defaultdict(dict))
    training: dict[tuple[str, int], Training] = field(default_factory=dict)
    timelines: dict[str, MemoryTimelineRow] = field(default_factory=dict)
    terms: dict[str, TermsRow] = field(default_factory=dict)
    probes: dict[str, list[ProbeRow]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[tuple[str, Setting, str], Runs] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    timed_failures: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failed_requests: FailureTally = field(default_factory=FailureTally)
    failures: list[FailureRow] = field(default_factory=list)
    failure_counts: Counter[str] = field(default_factory=Counter)
    not_taken: dict[NotTaken, list[str]] = field(default_factory=dict)


def collect(rows: Iterable[Row]) -> Facts:
    """One pass over the rows of a run."""
    facts = Facts()
    for row in rows:
        match row:
            case AnswerRow():
                facts.answers.put(row)
                facts.failed_requests.put(row)
            case RequestRow():
                _request(facts, row)
                _run(facts, row)
            case TermsRow():
                facts.terms[row.candidate] = row
            case ProbeRow():
                facts.probes[row.candidate].append(row)
            case TrainStepRow():
                _step(facts, row)
            case MemoryTimelineRow():
                facts.timelines.setdefault(row.candidate, row)
            case FailureRow():
                _failure(facts, row)
            case _:
                pass
    return facts


def _failure(facts: Facts, row: FailureRow) -> None:
    reading = (row.axis, row.where, "; ".join(part for part in (row.message, row.hint) if part))
    measured = row.scope == "sample" and row.axis in ("latency", "memory") and row.status == "undefined"
    if measured and (reading in facts.not_taken or len(facts.not_taken) < MOST_KINDS):
        whose = facts.not_taken.setdefault(reading, [])
        if row.candidate not in whose:
            whose.append(row.candidate)
        return
    facts.failure_counts[row.status] += 1
    if facts.failure_counts[row.status] <= MOST_FAILURES:
        facts.failures.append(row)


def _request(facts: Facts, row: RequestRow) -> None:
    setting = Setting(row.workload, row.load, row.cache)
    timings = facts.timings[setting].setdefault(row.candidate, Timings())
    timings.requests += 1
    if row.error is not None:
        timings.failed += 1
        facts.timed_failures[row.candidate][_kind(facts.timed_failures[row.candidate], row.error)] += 1
        return
    if row.ttft_ms is not None:
        timings.ttft.append(row.ttft_ms)
    if row.e2e_ms is not None:
        timings.e2e.append(row.e2e_ms)
    for stage, milliseconds in row.stages_ms.items():
        timings.stages[stage] += milliseconds


def _kind(known: Counter[str], error: str) -> str:
    """Servers write numbers and ids of single requests into what they say, behind the status: … stands for them."""
    what, colon, told = error.partition(": ")
    kind = what + colon + _OWN.sub("…", told)
    return kind if kind in known or len(known) < MOST_KINDS else OTHER_KINDS


def _run(facts: Facts, row: RequestRow) -> None:
    """Terms stand before the requests they are of."""
    terms = facts.terms.get(row.candidate)
    if terms is None:
        return
    run, setting = (row.restart if terms.runs == "restarts" else row.block), Setting(row.workload, row.load, row.cache)
    for time, value in (("ttft", row.ttft_ms), ("e2e", row.e2e_ms), ("tpot", row.tpot_ms)):
        if row.error is not None or value is not None:
            kept = facts.runs.setdefault((row.candidate, setting, time), {}).setdefault(run, [])
            kept.append(float("inf") if row.error is not None or value is None else value)


def _step(facts: Facts, row: TrainStepRow) -> None:
    training = facts.training.setdefault((row.candidate, row.seed), Training(row.task))
    training.losses.append((row.step, row.loss))
    if row.grad_norms:
        norms = list(row.grad_norms.values())
        training.norms.append((row.step, statistics.median(norms), min(norms), max(norms)))
