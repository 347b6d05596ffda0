"""The rows that are shown whole: read in a second pass, so that no more of a run's replies is ever held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from fourways.core.rows import AnswerRow, Row
from fourways.report.choice import Key
from fourways.report.markup import foreign_text

LONGEST = 600
"""Characters of a reply that are shown."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """samples: in the order they were chosen, each with a row for every candidate that was asked. unread: in the order
    they were chosen."""

    samples: dict[Key, list[AnswerRow]]
    unread: list[AnswerRow]


def gather(rows: Iterable[Row], chosen: Sequence[Key], unread: Sequence[tuple[str, Key]] = ()) -> Gathered:
    """Replies longer than LONGEST are cut, and say so."""
    samples: dict[Key, dict[str, AnswerRow]] = {key: {} for key in chosen}
    apart: dict[tuple[str, Key], AnswerRow | None] = dict.fromkeys(unread)
    for row in rows:
        if not isinstance(row, AnswerRow):
            continue
        key = (row.benchmark, row.sample)
        if key in samples or (row.candidate, key) in apart:
            kept = msgspec.structs.replace(row, reply=foreign_text(row.reply, LONGEST))
            if key in samples:
                samples[key][row.candidate] = kept
            if (row.candidate, key) in apart:
                apart[row.candidate, key] = kept
    return Gathered(
        {key: list(by_name.values()) for key, by_name in samples.items()},
        [row for row in apart.values() if row is not None],
    )
