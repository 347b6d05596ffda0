"""What a run lost: whole axes and whole benchmarks of a candidate that were tried and broke.

Contract: what could not be asked at all ("undefined": no access, random weights) is no loss.
"""

from __future__ import annotations

from collections.abc import Iterable

from fourways.core.failed import FailedRequests, FailureTally
from fourways.core.rows import CAUSE, PICTURE, AnswerRow, FailureRow, Row


def try_again(row: Row) -> bool:
    """Whether the next --resume tries this again: an axis or benchmark of its candidate that broke, or a question that
    failed for a reason that may have passed. A picture that cannot be read stays so."""
    if isinstance(row, AnswerRow):
        return row.status == "failed" and row.extra.get(CAUSE) != PICTURE
    return isinstance(row, FailureRow) and row.status == "failed" and row.scope != "sample"


def losses(rows: Iterable[Row]) -> tuple[tuple[FailureRow, ...], tuple[FailedRequests, ...]]:
    """The failures of candidates, axes and benchmarks, in their order, then the benchmarks none of whose requests of a
    candidate was answered. And apart, as no loss, where some requests failed and others were answered."""
    told: list[FailureRow] = []
    tally = FailureTally()
    for row in rows:
        if isinstance(row, FailureRow) and row.status == "failed" and row.scope != "sample":
            told.append(row)
        elif isinstance(row, AnswerRow):
            tally.put(row)
    failed = tally.failed()
    whole = (_unanswered(one) for one in failed if one.failed == one.asked)
    return (*told, *whole), tuple(one for one in failed if one.failed < one.asked)


def _unanswered(one: FailedRequests) -> FailureRow:
    message = f"all {one.failed} requests failed; the first: {one.first}"
    return FailureRow(one.candidate, "accuracy", "benchmark", one.benchmark, message)
