"""Rules under another name than the benchmark's own: what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fourways.benchmarks.contract import Benchmark, Metric
from fourways.core.rows import AnswerRow


def of_rule(definition: str, rule: str) -> str:
    """`mme_sum@1` under VLMEvalKit's rule is `mme_sum_vlmevalkit@1`: another rule is another figure."""
    name, _, version = definition.partition("@")
    return f"{name}_{rule.replace('-', '_')}@{version}"


def described(definitions: Mapping[str, str], rule: str, how: str) -> dict[str, str]:
    """The definitions of a benchmark under a rule: its formulas, and how the rule reads a reply."""
    return {of_rule(key, rule): f"{text}; replies read by the rule {rule}: {how}" for key, text in definitions.items()}


def under(metrics: Sequence[Metric], rule: str) -> list[Metric]:
    """The metrics with the rule in their definitions' names."""
    return [replace(metric, definition=of_rule(metric.definition, rule)) for metric in metrics]


class Kit(Benchmark):
    """Goes first among the bases of a benchmark under a kit's rule, which sets `rule` and `definitions`."""

    rule: str

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        return under(super().metrics(rows), self.rule)  # type: ignore[safe-super]  # the next base has it
