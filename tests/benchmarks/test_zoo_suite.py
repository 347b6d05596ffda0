"""The embedded suite goes through the readers of the real sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fourways import zoo
from fourways.benchmarks import registry
from fourways.benchmarks.answers.boxes import render
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.suite import detect
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return zoo.write_suite(tmp_path_factory.mktemp("suite"), images=8, seed=3)


def perfect(sample: Sample) -> str:
    if len(sample.gold) == 4 and isinstance(sample.gold[0], float):
        x1, y1, x2, y2 = (float(v) for v in sample.gold)
        size = int(sample.extra["width"]), int(sample.extra["height"])
        from fourways.benchmarks.answers.boxes import STATED

        return render((x1, y1, x2, y2), STATED, size)
    return max(set(map(str, sample.gold)), key=[str(g) for g in sample.gold].count)


def test_every_benchmark_is_there(suite: dict[str, Path]) -> None:
    assert tuple(suite) == zoo.BENCHMARKS
    root = suite["vqav2"].parent
    assert set(detect(root)) == set(suite)


@pytest.mark.parametrize("key", zoo.BENCHMARKS)
def test_a_perfect_model_gets_the_best_score(suite: dict[str, Path], key: str, answer: Answer) -> None:
    benchmark = registry.get(key)
    samples = list(benchmark.read(suite[key]))
    assert len({sample.id for sample in samples}) == len(samples) >= 8
    assert all(sample.image() for sample in samples)
    (primary,) = [m for m in benchmark.metrics([answer(benchmark, s, perfect(s)) for s in samples]) if m.primary]
    value = sum(part.coefficient * sum(part.values) / len(part.values) for part in primary.parts)
    assert value == pytest.approx(primary.maximum, abs=0.05 if key == "vqav2" else 1e-9)


@pytest.mark.parametrize("key", zoo.BENCHMARKS)
def test_metrics_are_declared(suite: dict[str, Path], key: str, answer: Answer) -> None:
    benchmark = registry.get(key)
    metrics = benchmark.metrics([answer(benchmark, s, "x") for s in benchmark.read(suite[key])])
    assert {metric.definition for metric in metrics} <= set(benchmark.definitions)
    (primary,) = [metric for metric in metrics if metric.primary]
    assert primary.name == benchmark.primary
    assert primary.definition == next(iter(benchmark.definitions))
    assert not primary.labels
