"""From answers that somebody else produced to the rows of the accuracy axis: parsed and scored by the rule that was
asked for."""

from __future__ import annotations

from collections.abc import Iterable

from fourways.benchmarks.answered import FAILED, reading_of
from fourways.benchmarks.contract import Benchmark, ReplyContext
from fourways.benchmarks.predictions.found import Answer
from fourways.core.boxes import BoxFormat
from fourways.core.rows import AnswerRow


def answer_rows(
    benchmark: Benchmark, answers: Iterable[Answer], candidate: str, box_format: BoxFormat | None = None
) -> list[AnswerRow]:
    """One row an answer, in their order. What only a run knows (tokens, seed, log-probability) is empty."""
    return [_row(benchmark, answer, candidate, box_format) for answer in answers]


def _row(benchmark: Benchmark, answer: Answer, candidate: str, box_format: BoxFormat | None) -> AnswerRow:
    sample = answer.sample
    context = ReplyContext(box_format, answer.visuals)
    reading = FAILED if answer.failed else reading_of(benchmark, sample, answer.reply, context)
    return AnswerRow(
        candidate=candidate,
        benchmark=benchmark.key,
        sample=sample.id,
        group=sample.group,
        image=sample.image_key,
        category=sample.category,
        question=sample.question,
        gold=sample.gold,
        reply=answer.reply,
        parsed=reading.parsed,
        score=reading.score,
        status=reading.status,
        finish_reason="",
        mean_logprob=None,
        output_tokens=None,
        visuals=answer.visuals,
        prompt_sha256="",
        seed=0,
        extra=sample.extra,
    )
