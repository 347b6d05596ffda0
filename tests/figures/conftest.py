from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from fourways.core.rows import (
    AnswerRow,
    FailureRow,
    MemoryQuantity,
    MemoryRow,
    MemoryStage,
    RequestRow,
    Row,
    TrainStepRow,
    TuneAnswerRow,
)


@pytest.fixture(scope="session")
def request_row() -> Callable[..., RequestRow]:
    """A finished request of 32 tokens; what a test cares about is overridden."""

    def make(item: int, e2e: float = 300.0, **more: object) -> RequestRow:
        values: dict[str, object] = {
            "candidate": "a", "workload": "describe-32", "concurrency": 1, "cache": "warm", "block": item // 20,
            "item": item, "image": f"i{item}", "scheduled_ms": item % 20 * 1000.0, "dispatched_ms": item % 20 * 1000.0,
            "ttft_ms": e2e / 4, "e2e_ms": e2e, "tpot_ms": e2e * 0.75 / 31, "chunk_gaps_ms": (9.0, 10.0, 11.0),
            "prompt_tokens": 100, "visual_tokens": 64, "output_tokens": 32, "stages_ms": {"prefill": e2e / 5},
        }  # fmt: skip
        return RequestRow(**{**values, **more})  # type: ignore[arg-type]  # a test's own overrides

    return make


@pytest.fixture(scope="session")
def full_run(request_row: Callable[..., RequestRow]) -> Callable[[], list[Row]]:
    """Rows of all kinds for two candidates and a server without access."""

    def make() -> list[Row]:
        rng = random.Random(0)
        rows: list[Row] = []
        for name, share in (("a", 0.9), ("b", 0.7)):
            rows += _answers(name, share, rng)
            rows += [
                request_row(i, rng.gauss(300, 30), candidate=name, concurrency=c, cache=k)
                for c in (1, 8) for k in ("cold", "warm") for i in range(80)
            ]  # fmt: skip
            rows += _memory(name)
            rows += _tuning(name, rng)
        rows.append(FailureRow("c", "memory", "axis", "", "no access", status="undefined"))
        rows.append(FailureRow("c", "tuning", "axis", "", "no access", status="undefined"))
        rows.append(FailureRow("c", "latency", "candidate", "", "the server is gone"))
        rows.append(FailureRow("c", "accuracy", "candidate", "", "the server is gone"))
        return rows

    return make


def _answers(name: str, share: float, rng: random.Random) -> list[Row]:
    rows: list[Row] = []
    for i in range(60):
        for benchmark, category in (("mme", ("color", "count")[i // 2 % 2]), ("vqav2", "other"), ("mmbench_en", "x")):
            right = rng.random() < share
            gold = ("yes",) * (10 if benchmark == "vqav2" else 1)
            group = (
                f"{category}{i // 2}" if benchmark == "mme" else str(i // 3) if benchmark == "mmbench_en" else str(i)
            )
            rows.append(
                AnswerRow(
                    candidate=name, benchmark=benchmark, sample=str(i), group=group, image=f"{benchmark}{i // 3}",
                    category=category, question="q", gold=gold, reply="r", parsed="yes" if right else "no",
                    score=float(right), status="ok", finish_reason="stop", mean_logprob=-0.1, output_tokens=1,
                    visuals=(), prompt_sha256="", seed=0, extra={"l2_category": "y", "question_type": "what"},
                )
            )  # fmt: skip
    return rows


def _memory(name: str) -> list[Row]:
    readings: list[tuple[MemoryStage, MemoryQuantity, int]] = [
        ("weights", "exact", 6_000_000),
        ("vision_encode", "live_tensors", 9_000_000),
        ("decode", "live_tensors", 8_000_000),
        ("decode", "process_above_load", 90_000_000),
        ("kv_per_token", "exact", 1024),
    ]
    return [
        MemoryRow(name, repeat, stage, quantity, size, (640, 480), 1, 400)
        for repeat in range(3)
        for stage, quantity, size in readings
    ]


def _tuning(name: str, rng: random.Random) -> list[Row]:
    rows: list[Row] = []
    for seed in (0, 1):
        for i in range(40):
            for phase, share in (("before", 0.1), ("after", 0.7)):
                score = float(rng.random() < share)
                rows.append(TuneAnswerRow(name, "star", seed, phase, str(i), f"i{i}", "q", "g", "r", score))  # type: ignore[arg-type]  # a literal
        for step in range(0, 50):
            norms = {"m": 3.0, "n": 4.0} if step % 10 == 0 else None
            rows.append(TrainStepRow(name, "star", seed, step, 1.0, 1e-3, 20.0 + seed, 10**7, norms))
    return rows
