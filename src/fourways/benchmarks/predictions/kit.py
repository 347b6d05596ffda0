"""Rules under another name than the benchmark's own: what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fourways.benchmarks.contract import Benchmark, Metric, ReplyContext, Sample
from fourways.core.request import Output
from fourways.core.rows import AnswerRow

Reads = Callable[[Sample, str], str | None]
"""What a program reads from a reply to a sample; None where it reads nothing."""


def of_rule(definition: str, rule: str) -> str:
    """`mme_sum@2` under VLMEvalKit's rule is `mme_sum_vlmevalkit@2`: another rule is another figure."""
    name, _, version = definition.partition("@")
    return f"{name}_{rule.replace('-', '_')}@{version}"


def described(definitions: Mapping[str, str], rule: str, how: str) -> dict[str, str]:
    """The definitions of a benchmark under a rule: its formulas, and how the rule reads a reply."""
    return {of_rule(key, rule): f"{text}; replies read by the rule {rule}: {how}" for key, text in definitions.items()}


def under(metrics: Sequence[Metric], rule: str) -> list[Metric]:
    """The metrics with the rule in their definitions' names."""
    return [replace(metric, definition=of_rule(metric.definition, rule)) for metric in metrics]


class Reread(Benchmark):
    """A benchmark whose replies are read as another program reads them, and scored and summed up as ever."""

    def __init__(self, inner: Benchmark, rule: str, how: str, reads: Reads) -> None:
        """how: the rule in words."""
        self.key, self.title, self.primary = inner.key, inner.title, inner.primary
        self.definitions = described(inner.definitions, rule, how)
        self.prompt_version, self.parser_version = inner.prompt_version, 1
        self.scorer_version = inner.scorer_version
        self._inner, self._rule, self._reads = inner, rule, reads

    def read(self, path: Path) -> Iterator[Sample]:
        return self._inner.read(path)

    def prompt(self, sample: Sample, dialect: str) -> str:
        return self._inner.prompt(sample, dialect)

    def output(self, sample: Sample) -> Output:
        return self._inner.output(sample)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return self._reads(sample, reply)

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return self._inner.score(sample, parsed)

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        return under(self._inner.metrics(rows), self._rule)
