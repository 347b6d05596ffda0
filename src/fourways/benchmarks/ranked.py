"""A benchmark whose replies are chosen by likelihood instead of generated: `KEY@rank`.

Of the replies that are possible (the letters of the options; Yes and No, yes and no) the model's likeliest is the
reply, as the original Qwen-VL was scored on multiple choice. Only an engine that tells how likely a given text is can
be asked so.
A chat model is asked for the letter at the start of its turn, and its log-probabilities are summed over a
continuation's tokens; Qwen-VL's own script ranks a space and the letter by their mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fourways.benchmarks.answers.choice import options_inside, rank_prompt
from fourways.benchmarks.contract import Benchmark, Metric, ReplyContext, Sample
from fourways.core.engine import EngineInfo
from fourways.core.errors import BenchmarkFormatError, UserError
from fourways.core.request import Rank
from fourways.core.rows import AnswerRow

SUFFIX = "@rank"
_VERSION = 1
"""Of what this file adds to a benchmark's prompt and parser."""


class Ranked(Benchmark):
    """Another benchmark's data and scores, with its replies ranked."""

    ranks: bool = True

    def __init__(self, inner: Benchmark) -> None:
        """Raises UserError where some replies are not among a given few."""
        if type(inner).continuations is Benchmark.continuations or inner.ranks:
            raise UserError(
                f"the answers of {inner.key} cannot be ranked: they are not one of a given few",
                hint=f"ask it as {inner.key}; multiple choice and yes/no can be ranked",
            )
        self.inner = inner
        self.key = f"{inner.key}{SUFFIX}"
        self.title = f"{inner.title}, ranked"
        self.primary = inner.primary
        self.definitions = inner.definitions
        self.columns = inner.columns
        self.prompt_version = inner.prompt_version + _VERSION - 1
        self.parser_version = inner.parser_version + _VERSION - 1
        self.scorer_version = inner.scorer_version

    def read(self, path: Path) -> Iterator[Sample]:
        for sample in self.inner.read(path):
            if len(self.continuations(sample)) < 2:
                raise BenchmarkFormatError(
                    f"{path}: question {sample.id} has an open answer", hint=f"Ask it as {self.inner.key}."
                )
            yield sample

    def edition(self, path: Path) -> str:
        return self.inner.edition(path)

    def prompt(self, sample: Sample, dialect: str) -> str:
        """Of multiple choice: Qwen-VL's. Where the question lists its options itself, and of yes/no: the
        benchmark's own."""
        if options_inside(sample):
            return self.inner.prompt(sample, dialect)
        return rank_prompt(sample.question, sample.hint, sample.options)

    def output(self, sample: Sample) -> Rank:
        return Rank(self.continuations(sample))

    def continuations(self, sample: Sample) -> tuple[str, ...]:
        """The benchmark's own; words in lower case as well, because models differ in how they begin a reply."""
        own = self.inner.continuations(sample)
        return own if sample.options else (*own, *(text.lower() for text in own if text.lower() not in own))

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | tuple[float, ...] | None:
        """What the benchmark reads from that continuation; None where the reply is none of them."""
        return self.inner.parse(sample, reply, context) if reply in self.continuations(sample) else None

    def undefined(self, engine: EngineInfo) -> str | None:
        return self.inner.undefined(engine)

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return self.inner.score(sample, parsed)

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        return self.inner.metrics(rows)
