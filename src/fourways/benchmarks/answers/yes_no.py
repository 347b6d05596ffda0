"""Questions whose answer is yes or no: what is counted, and how it becomes precision, recall and F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways.benchmarks.answers.scoring import mean_part, ratio_part
from fourways.benchmarks.contract import Metric, MetricPart
from fourways.core.rows import AnswerRow

YES_NO = ("Yes", "No")


def counted(prefix: str) -> Mapping[str, str]:
    """name@version → formula of the metrics that `counts` makes, under a benchmark's prefix."""
    return {
        f"{prefix}_accuracy@1": "right answers / questions",
        f"{prefix}_precision@1": "TP / (TP + FP); TP: true yes that is answered yes, FP: true no that is not answered "
        "no; 0 where nothing is",
        f"{prefix}_recall@1": "TP / (TP + FN); FN: true yes that is not answered yes; 0 where no answer is yes",
        f"{prefix}_f1@1": "2 TP / (2 TP + FP + FN); 0 where that is nothing",
        f"{prefix}_yes_ratio@1": "questions answered yes / questions",
    }


def counts(rows: Sequence[AnswerRow], prefix: str, labels: Mapping[str, str]) -> list[Metric]:
    """accuracy, precision, recall, F1 and the share of yes of these rows, which are not empty. A row is answered yes or
    no as its score says of its gold; `said_yes` alone decides the share of yes."""
    found = {
        "accuracy": mean_part(rows),
        "precision": ratio_part(
            rows, _true_yes(rows), [t + f for t, f in zip(_true_yes(rows), _false_yes(rows), strict=True)]
        ),
        "recall": ratio_part(rows, _true_yes(rows), [float(is_yes(row)) for row in rows]),
        "f1": f1_part(rows, 1.0),
        "yes_ratio": MetricPart(1.0, tuple(row.image for row in rows), tuple(float(said_yes(row)) for row in rows)),
    }
    return [
        Metric(
            name, f"{prefix}_{name}@1", "fraction", 1.0, (part,), labels=dict(labels),
            direction="none" if name == "yes_ratio" else "higher",
        )
        for name, part in found.items()
    ]  # fmt: skip


def f1_part(rows: Sequence[AnswerRow], coefficient: float) -> MetricPart:
    """F1 as one ratio: of each row, what it adds to 2 TP and to 2 TP + FP + FN."""
    twice = [2 * value for value in _true_yes(rows)]
    wrong = [1 - row.score for row in rows]
    return ratio_part(rows, twice, [t + w for t, w in zip(twice, wrong, strict=True)], coefficient)


def is_yes(row: AnswerRow) -> bool:
    """Whether the true answer is yes."""
    return bool(row.gold) and str(row.gold[0]).lower() == "yes"


def said_yes(row: AnswerRow) -> bool:
    """Whether the reply is taken for yes."""
    return bool(row.parsed) and (row.score == 1) == is_yes(row)


def _true_yes(rows: Sequence[AnswerRow]) -> list[float]:
    return [float(is_yes(row) and row.score == 1) for row in rows]


def _false_yes(rows: Sequence[AnswerRow]) -> list[float]:
    return [float(not is_yes(row) and row.score != 1) for row in rows]
