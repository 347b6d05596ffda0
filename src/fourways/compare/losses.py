"""What a run lost: whole axes and whole benchmarks of a candidate that were tried and broke.

Contract: what could not be asked at all ("undefined": no access, random weights) is no loss.
"""

from __future__ import annotations

from collections.abc import Iterable

from fourways.axes.window import CAUSE, PICTURE
from fourways.core.rows import AnswerRow, FailureRow, Row


def try_again(row: Row) -> bool:
    """Whether the next --resume tries this again: an axis or benchmark of its candidate that broke, or a question that
    failed for a reason that may have passed. A picture that cannot be read stays so."""
    if isinstance(row, AnswerRow):
        return row.status == "failed" and row.extra.get(CAUSE) != PICTURE
    return isinstance(row, FailureRow) and row.status == "failed" and row.scope != "sample"


def losses(rows: Iterable[Row]) -> tuple[FailureRow, ...]:
    """The failures of candidates, axes and benchmarks, in their order, then the benchmarks none of whose requests of a
    candidate was answered."""
    told: list[FailureRow] = []
    answered: set[tuple[str, str]] = set()
    broken: dict[tuple[str, str], list[AnswerRow]] = {}
    for row in rows:
        if isinstance(row, FailureRow) and row.status == "failed" and row.scope != "sample":
            told.append(row)
        elif isinstance(row, AnswerRow) and row.status != "failed":
            answered.add((row.candidate, row.benchmark))
            broken.pop((row.candidate, row.benchmark), None)
        elif isinstance(row, AnswerRow) and (row.candidate, row.benchmark) not in answered:
            broken.setdefault((row.candidate, row.benchmark), []).append(row)
    return (*told, *(_unanswered(failed) for failed in broken.values()))


def _unanswered(failed: list[AnswerRow]) -> FailureRow:
    first = failed[0]
    why = first.extra.get("error", first.finish_reason)
    message = f"all {len(failed)} requests failed; the first: {why}"
    return FailureRow(first.candidate, "accuracy", "benchmark", first.benchmark, message)
