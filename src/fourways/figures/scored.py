"""The figures of one benchmark's answers, whoever produced them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fourways.benchmarks.contract import Metric
from fourways.core.figure import Figure
from fourways.figures.official import official_figure


def scored(metrics: Sequence[Metric], candidate: str, labels: Mapping[str, str]) -> tuple[Figure, ...]:
    """A figure for each metric, in their order: value, 95 % interval over images, number of images. labels: what all of
    them are of."""
    return tuple(
        msgspec.structs.replace(official_figure(candidate, metric, labels), headline=metric.primary)
        for metric in metrics
    )
