"""Answers read and scored again: a score must follow from its reply and its gold answer, not only figures from scores.

By the one way on which the accuracy axis scored them (benchmarks/answered.py), from what a row holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fourways.benchmarks import registry
from fourways.benchmarks.answered import FAILED, Reading, reading_of, sample_of
from fourways.benchmarks.contract import Benchmark, ReplyContext
from fourways.core.boxes import BoxFormat
from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow
from fourways.core.run import BenchmarkRecord, CandidateRecord

_NO_REPLY = ("error", "cancelled")
"""How a request ends whose reply is not read."""


class Rescored:
    """candidates, suite: the header's. unknown: benchmarks that this version reads or scores by another rule. count:
    answers that were scored again."""

    def __init__(self, candidates: Sequence[CandidateRecord], suite: Sequence[BenchmarkRecord]) -> None:
        self._boxes = {record.candidate.name: _box_format(record) for record in candidates}
        self._rules = {record.key: rule for record in suite if (rule := _rule(record)) is not None}
        self.unknown = [record.key for record in suite if record.key not in self._rules]
        self.count = 0

    def unlike(self, row: AnswerRow) -> Iterator[str]:
        """What does not follow from the reply."""
        rule = self._rules.get(row.benchmark)
        if rule is None:
            return
        self.count += 1
        try:
            again = self._again(rule, row)
            judged = _judged(rule, row)
        except Exception as error:  # rows may say anything, and rules are written for what benchmarks hold
            yield f"its reply cannot be scored again: {type(error).__name__}: {error}"
            return
        for name, found in (*again._asdict().items(), ("judged", judged)):
            if (said := getattr(row, name) if name != "judged" else _said(row)) != found:
                yield f"{name} is {said!r}, and its reply gives {found!r}"

    def _again(self, rule: Benchmark, row: AnswerRow) -> Reading:
        if row.finish_reason in _NO_REPLY:
            return FAILED
        context = ReplyContext(self._boxes.get(row.candidate), row.visuals)
        return reading_of(rule, sample_of(row), row.reply, context)


def _box_format(record: CandidateRecord) -> BoxFormat | None:
    return record.candidate.box_format if record.engine is None else record.engine.box_format


def _rule(record: BenchmarkRecord) -> Benchmark | None:
    try:
        rule = registry.get(record.key, record.columns)
    except UserError:
        return None
    same = (rule.parser_version, rule.scorer_version) == (record.parser_version, record.scorer_version)
    return rule if same else None


def _said(row: AnswerRow) -> float | None:
    return None if row.judged is None else row.judged.score


def _judged(rule: Benchmark, row: AnswerRow) -> float | None:
    """What the judge's reading is worth; how its words were read is not gone over again."""
    if row.judged is None:
        return None
    return 0.0 if row.judged.parsed is None else rule.score(sample_of(row), row.judged.parsed)
