"""What the scorers share: from finished rows to the parts of a metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from fourways.benchmarks.contract import Metric, MetricPart
from fourways.core.rows import AnswerRow


def judged(rows: Sequence[AnswerRow]) -> list[AnswerRow]:
    """The rows whose answer is public: only they have a score."""
    return [row for row in rows if row.gold]


def mean_part(rows: Sequence[AnswerRow], coefficient: float = 1.0) -> MetricPart:
    """The mean of the rows' own scores, clustered by image."""
    return MetricPart(coefficient, tuple(row.image for row in rows), tuple(row.score for row in rows))


def ratio_part(
    rows: Sequence[AnswerRow], values: Sequence[float], weights: Sequence[float], coefficient: float = 1.0
) -> MetricPart:
    """sum(values) / sum(weights), clustered by image. Weights that are all 0 leave nothing to divide by: the value is
    0, as in the evaluation kits."""
    images = tuple(row.image for row in rows)
    if not any(weights):
        return MetricPart(coefficient, images, (0.0,) * len(rows))
    return MetricPart(coefficient, images, tuple(values), tuple(weights))


def by_label(
    rows: Sequence[AnswerRow], name: str, definition: str, label: str, of: Callable[[AnswerRow], str]
) -> list[Metric]:
    """The mean score for each value of a label; rows without one are left out."""
    groups: dict[str, list[AnswerRow]] = defaultdict(list)
    for row in rows:
        if of(row):
            groups[of(row)].append(row)
    return [
        Metric(name, definition, "fraction", 1.0, (mean_part(group),), labels={label: value})
        for value, group in sorted(groups.items())
    ]
