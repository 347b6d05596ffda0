"""What was tried and broke is told; what could not be asked, or was answered in part, is no loss."""

from __future__ import annotations

from typing import Literal

import msgspec

from fourways.compare.losses import losses, try_again
from fourways.core.rows import CAUSE, PICTURE, AnswerRow, FailureRow


def answer(candidate: str, benchmark: str, status: Literal["ok", "unparsed", "failed"]) -> AnswerRow:
    extra = {"error": "the server is gone"} if status == "failed" else {}
    return AnswerRow(
        candidate,
        benchmark,
        "s",
        "g",
        "i",
        "",
        "?",
        ("a",),
        "",
        None,
        0.0,
        status,
        "stop",
        None,
        None,
        (),
        "",
        7,
        extra,
    )


def test_a_benchmark_of_which_nothing_was_answered_is_lost() -> None:
    rows = [
        answer("a", "mme", "failed"), answer("a", "vqav2", "failed"), answer("a", "mme", "failed"),
        answer("a", "vqav2", "unparsed"), answer("a", "vqav2", "failed"), answer("b", "mme", "ok"),
    ]  # fmt: skip
    (lost,), (partly,) = losses(rows)
    assert (lost.candidate, lost.scope, lost.where) == ("a", "benchmark", "mme")
    assert lost.message == "all 2 requests failed; the first: the server is gone"
    assert (partly.candidate, partly.benchmark, partly.failed, partly.asked) == ("a", "vqav2", 2, 3)
    assert partly.first == "the server is gone"


def test_an_axis_or_benchmark_that_broke_is_lost_and_what_could_not_be_asked_is_not() -> None:
    axis = FailureRow("a", "latency", "axis", "", "broke")
    file = FailureRow("a", "accuracy", "benchmark", "mme", "line 3 has no answer")
    sample = FailureRow("a", "tuning", "sample", "s", "broke")
    unasked = FailureRow("a", "memory", "axis", "", "no access", status="undefined")
    assert losses([axis, unasked, file, sample]) == ((axis, file), ())
    assert [try_again(row) for row in (axis, unasked, file, sample)] == [True, False, True, False]


def test_a_question_that_failed_is_tried_again_unless_its_picture_is_the_cause() -> None:
    failed = answer("a", "mme", "failed")
    unreadable = msgspec.structs.replace(failed, extra={**failed.extra, CAUSE: PICTURE})
    assert [try_again(row) for row in (failed, unreadable, answer("a", "mme", "unparsed"))] == [True, False, False]
