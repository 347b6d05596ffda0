"""From a finished row back to its sample, as far as a parser or a judge needs it: no image, no data at hand."""

from __future__ import annotations

from fourways.benchmarks.contract import Sample
from fourways.core.rows import AnswerRow

OPTION = "option "
"""Begins the key under which a row keeps the text of an option: `option A`."""


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
