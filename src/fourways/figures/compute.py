"""All figures of a run from its rows: one pass, no engine, no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fourways.core.figure import Figure
from fourways.core.rows import (
    AnswerRow,
    CeilingRow,
    ClientRow,
    EnergyRow,
    FailureRow,
    MemoryPredictedRow,
    MemoryRow,
    ProbeRow,
    RequestRow,
    Row,
    TermsRow,
    TrainStepRow,
    TuneAnswerRow,
    WorkRow,
)
from fourways.core.run import BenchmarkRecord
from fourways.figures.accuracy import Accuracy
from fourways.figures.energy import Energy
from fourways.figures.failures import Failures
from fourways.figures.latency import Latency
from fourways.figures.load import LoadFigures
from fourways.figures.memory import Memory
from fourways.figures.roofline import Roofline
from fourways.figures.tuning import Tuning


def compute(rows: Iterable[Row], suite: Sequence[BenchmarkRecord] = ()) -> tuple[Figure, ...]:
    """Every figure, axis by axis. The same rows, in whatever order within a benchmark or setting, give the same
    figures.

    suite: the header's. Without it nothing is known of the data's edition, so no score is normalised, and a benchmark
    that was given by path is not known.
    A candidate has one headline figure for each axis on which it has rows; where there is no value, its status and
    reason say why.
    """
    failures, latency, memory, tuning = Failures(), Latency(), Memory(), Tuning()
    roofline, load, energy = Roofline(), LoadFigures(), Energy()
    accuracy = Accuracy({record.key: record for record in suite})
    for row in rows:
        match row:
            case AnswerRow():
                accuracy.add(row)
            case RequestRow():
                latency.add(row)
                roofline.add_request(row)
                load.add_request(row)
            case ClientRow():
                latency.add_client(row)
                load.add_client(row)
            case TermsRow():
                latency.add_terms(row)
                load.add_terms(row)
            case ProbeRow():
                latency.add_probe(row)
                load.add_probe(row)
            case WorkRow():
                roofline.add_work(row)
            case CeilingRow():
                roofline.add_ceiling(row)
            case EnergyRow():
                energy.add(row)
            case MemoryRow():
                memory.add(row)
            case MemoryPredictedRow():
                memory.add_predicted(row)
            case TrainStepRow():
                tuning.add_step(row)
            case TuneAnswerRow():
                tuning.add_answer(row)
            case FailureRow():
                failures.add(row)
    return (
        *accuracy.figures(failures),
        *latency.figures(failures),
        *load.figures(),
        *roofline.figures(),
        *energy.figures(failures),
        *memory.figures(failures),
        *tuning.figures(failures),
    )
