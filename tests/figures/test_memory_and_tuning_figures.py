from __future__ import annotations

from typing import Literal

import pytest

from fourways.core.figure import Figure
from fourways.core.rows import FailureRow, MemoryQuantity, MemoryRow, MemoryStage, Row, TrainStepRow, TuneAnswerRow
from fourways.figures import compute


def one(figures: tuple[Figure, ...], metric: str, **labels: str) -> Figure:
    (found,) = [f for f in figures if f.metric == metric and labels.items() <= f.labels.items()]
    return found


def reading(repeat: int, stage: MemoryStage, quantity: MemoryQuantity, size: int) -> MemoryRow:
    return MemoryRow("a", repeat, stage, quantity, size, (640, 480), 1, 423)


def test_the_headline_is_the_largest_stage_of_each_process() -> None:
    rows: list[Row] = []
    for repeat, (vision, decode) in enumerate([(10, 12), (14, 11), (10, 13)]):
        rows += [
            reading(repeat, "vision_encode", "live_tensors", vision),
            reading(repeat, "decode", "live_tensors", decode),
        ]
        rows.append(reading(repeat, "decode", "process_above_load", 900))
    (headline,) = [f for f in compute(rows) if f.headline]
    assert (headline.metric, headline.value, headline.n) == ("peak_memory", 13.0, 3)
    assert headline.labels == {"quantity": "live_tensors", "image": "640x480", "batch": "1"}
    assert headline.low is not None and headline.low < 13 < (headline.high or 0)


def test_on_cuda_the_headline_counts_what_was_allocated() -> None:
    rows = [reading(r, "prefill", q, s) for r in range(2) for q, s in (("allocated", 50), ("reserved", 80))]  # type: ignore[arg-type]  # a literal
    assert one(compute(rows), "peak_memory").labels["quantity"] == "allocated"


def test_equal_processes_give_an_interval_without_width_and_say_so() -> None:
    found = one(compute([reading(r, "prefill", "live_tensors", 7) for r in range(5)]), "peak_memory")
    assert (found.low, found.value, found.high) == (7.0, 7.0, 7.0)
    assert (found.status, found.reason) == ("ok", "all 5 processes gave the same")


def test_one_process_is_too_few() -> None:
    assert one(compute([reading(0, "prefill", "live_tensors", 7)]), "peak_memory").status == "too_few"


def test_weights_keys_and_context_have_figures_of_their_own() -> None:
    rows = [reading(r, s, "exact", n) for r in range(2) for s, n in (("weights", 600), ("kv_per_token", 8))]  # type: ignore[arg-type]  # a literal
    figures = compute(rows)
    assert one(figures, "weights").value == 600.0
    assert one(figures, "kv_per_token").value == 8.0
    assert one(figures, "context").value == 423.0
    assert one(figures, "peak_memory").status == "undefined"


def test_no_access_is_undefined() -> None:
    found = one(compute([FailureRow("a", "memory", "axis", "", "no access", status="undefined")]), "peak_memory")
    assert (found.status, found.reason, found.headline) == ("undefined", "no access", True)


def tuned(
    seed: int, item: int, phase: Literal["before", "after"], score: float, image: str | None = None
) -> TuneAnswerRow:
    return TuneAnswerRow("a", "star", seed, phase, str(item), image or f"i{item}", "q", "g", "r", score)


def test_the_gain_is_paired_by_question_and_seed() -> None:
    rows: list[Row] = [tuned(s, i, "before", float(i % 4 == 0)) for s in (0, 1) for i in range(40)]
    rows += [tuned(s, i, "after", float(i % 4 != 3)) for s in (0, 1) for i in range(40)]
    figures = compute(rows)
    gain = one(figures, "gain")
    assert gain.headline and gain.value == pytest.approx(0.5)
    assert (gain.n, gain.n_unit) == (40, "images, 2 seeds")
    assert gain.low is not None and 0.25 < gain.low < 0.5 < (gain.high or 0) < 0.75
    assert one(figures, "score_before").value == pytest.approx(0.25)
    assert one(figures, "score_after").value == pytest.approx(0.75)


def test_one_seed_cannot_show_its_spread() -> None:
    rows: list[Row] = [tuned(0, i, p, s) for i in range(40) for p, s in (("before", 0.0), ("after", i % 2))]  # type: ignore[arg-type]  # a literal
    found = one(compute(rows), "gain")
    assert (found.status, found.reason) == ("too_few", "one training seed cannot show how seeds differ")


def test_seeds_that_disagree_widen_the_interval() -> None:
    def width(second: float) -> float:
        rows: list[Row] = [tuned(s, i, "before", 0.0) for s in (0, 1) for i in range(60)]
        rows += [tuned(s, i, "after", float(i % 10 < (5 if s == 0 else second))) for s in (0, 1) for i in range(60)]
        found = one(compute(rows), "gain")
        return (found.high or 0) - (found.low or 0)

    assert width(9) > 1.3 * width(5)


def test_a_tune_that_never_finished_has_failed() -> None:
    found = one(compute([tuned(0, i, "before", 0.0) for i in range(20)]), "gain")
    assert (found.status, found.reason) == ("failed", "no fine-tune was finished")


def step(seed: int, number: int, norms: dict[str, float] | None = None) -> TrainStepRow:
    return TrainStepRow("a", "star", seed, number, 1.0, 1e-3, 25.0, 1000 + number, norms)


def test_costs_are_over_seeds() -> None:
    figures = compute([step(seed, n) for seed in (0, 1) for n in range(10)])
    assert (one(figures, "training_time").value, one(figures, "training_time").n) == (250.0, 2)
    assert one(figures, "training_peak").value == 1009.0


def test_the_first_gradient_norm_is_left_out() -> None:
    """At the first step LoRA's B is 0, so A has no gradient."""
    rows = [step(s, n, {"m": 3.0, "n": 4.0} if n else {"m": 99.0}) for s in (0, 1) for n in (0, 10, 20)]
    figures = compute(rows)
    assert one(figures, "grad_norm_mean").value == one(figures, "grad_norm_max").value == 5.0


def test_a_norm_that_is_not_finite_is_no_number() -> None:
    rows = [step(s, n, {"m": float("inf") if n == 20 else 1.0}) for s in (0, 1) for n in (0, 10, 20)]
    assert one(compute(rows), "grad_norm_mean").reason == "a gradient norm was not finite"


def test_norms_that_were_not_logged_are_undefined() -> None:
    assert one(compute([step(0, 0), step(1, 0)]), "grad_norm_mean").status == "undefined"
