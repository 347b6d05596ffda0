"""Between a sample and its row: what a reply is worth, and back to the sample as far as a judge needs it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from fourways.benchmarks.contract import Benchmark, ReplyContext, Sample
from fourways.core.rows import AnswerRow

OPTION = "option "
"""Begins the key under which a row keeps the text of an option: `option A`."""


class Reading(NamedTuple):
    """What the rule makes of a reply: the `parsed`, `score` and `status` of its row."""

    parsed: str | tuple[float, ...] | None
    score: float
    status: Literal["ok", "unparsed", "failed"]


FAILED = Reading(None, 0.0, "failed")
"""Of a request that ended in an error: nothing of its reply is read."""


def reading_of(benchmark: Benchmark, sample: Sample, reply: str, context: ReplyContext) -> Reading:
    """The one way from a reply to a score, whoever asked. What the rule cannot read is scored too: some rules take it
    for an answer."""
    parsed = benchmark.parse(sample, reply, context)
    return Reading(parsed, benchmark.score(sample, parsed), "unparsed" if parsed is None else "ok")


def sample_of(row: AnswerRow) -> Sample:
    """The sample that was asked, but for its picture (empty bytes) and its hint."""
    options = {key.removeprefix(OPTION): text for key, text in row.extra.items() if key.startswith(OPTION)}
    return Sample(
        id=row.sample,
        group=row.group,
        image_key=row.image,
        image=bytes,
        question=row.question,
        gold=row.gold,
        category=row.category,
        options=options,
        extra={key: text for key, text in row.extra.items() if not key.startswith(OPTION)},
    )
