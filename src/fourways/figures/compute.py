"""All figures of a run from its rows: one pass, no engine, no file."""

from __future__ import annotations

from collections.abc import Iterable

from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow, FailureRow, MemoryRow, RequestRow, Row, TrainStepRow, TuneAnswerRow
from fourways.figures.accuracy import Accuracy
from fourways.figures.failures import Failures
from fourways.figures.latency import Latency
from fourways.figures.memory import Memory
from fourways.figures.tuning import Tuning


def compute(rows: Iterable[Row]) -> tuple[Figure, ...]:
    """Every figure, axis by axis. The same rows, in whatever order within a benchmark or setting, give the same
    figures.

    A candidate has one headline figure for each axis on which it has rows; where there is no value, its status and
    reason say why.
    """
    failures, accuracy, latency, memory, tuning = Failures(), Accuracy(), Latency(), Memory(), Tuning()
    for row in rows:
        match row:
            case AnswerRow():
                accuracy.add(row)
            case RequestRow():
                latency.add(row)
            case MemoryRow():
                memory.add(row)
            case TrainStepRow():
                tuning.add_step(row)
            case TuneAnswerRow():
                tuning.add_answer(row)
            case FailureRow():
                failures.add(row)
    return (
        *accuracy.figures(failures),
        *latency.figures(failures),
        *memory.figures(failures),
        *tuning.figures(failures),
    )
