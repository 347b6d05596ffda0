"""A benchmark's questions, as a load may be drawn from them."""

from __future__ import annotations

from functools import partial

from fourways.benchmarks.contract import Benchmark, Sample
from fourways.benchmarks.suite import Entry
from fourways.core.questions import Question, Questions


def questions_of(entry: Entry, sha256: str) -> Questions:
    """All questions of a benchmark, asked as the accuracy axis asks them. sha256: of its data. Reads the tables and no
    picture; raises what `Benchmark.read` raises."""
    benchmark = entry.benchmark
    return Questions(benchmark.key, sha256, tuple(_question(benchmark, sample) for sample in entry.read()))


def _question(benchmark: Benchmark, sample: Sample) -> Question:
    prompt = partial(benchmark.prompt, sample)
    return Question(sample.id, sample.image_key, (sample.image,), prompt, benchmark.output(sample))
