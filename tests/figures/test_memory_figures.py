"""What memory is made of, what was predicted of it, and what a server said of itself."""

from __future__ import annotations

import msgspec
import pytest

from fourways.core.figure import Figure
from fourways.core.load import Load
from fourways.core.rows import (
    EnergyRow,
    FailureRow,
    MemoryPredictedRow,
    MemoryQuantity,
    MemoryRow,
    MemoryStage,
    Row,
)
from fourways.figures import DEFINITIONS, TEXTS, compute


def one(figures: tuple[Figure, ...], metric: str, **labels: str) -> Figure:
    (found,) = [f for f in figures if f.metric == metric and labels.items() <= f.labels.items()]
    return found


def reading(repeat: int, stage: MemoryStage, quantity: MemoryQuantity, size: int, batch: int = 1) -> MemoryRow:
    return MemoryRow("a", repeat, stage, quantity, size, (640, 480), batch, 100)


def predicted(stage: MemoryStage, quantity: MemoryQuantity, size: int, context: int = 100) -> MemoryPredictedRow:
    return MemoryPredictedRow("a", stage, quantity, size, (640, 480), 1, context)


def request(repeats: int = 3) -> list[Row]:
    sizes: list[tuple[MemoryStage, MemoryQuantity, int]] = [
        ("weights", "exact", 1000), ("vision_encode", "live_tensors", 1600), ("prefill", "live_tensors", 1900),
        ("decode", "live_tensors", 1450), ("kv_per_token", "exact", 4), ("train_step", "live_tensors", 3000),
    ]  # fmt: skip
    return [reading(repeat, *size) for repeat in range(repeats) for size in sizes]


def test_a_training_step_has_its_own_figure_and_is_no_part_of_a_requests_peak() -> None:
    figures = compute(request())
    assert one(figures, "peak_memory").value == 1900
    step = one(figures, "train_step_peak")
    assert (step.value, step.n, step.status) == (3000, 3, "ok")
    assert step.reason == "all 3 processes gave the same"
    assert not [f for f in figures if f.metric == "stage_peak" and f.labels["stage"] == "train_step"]


@pytest.mark.parametrize(
    ("stage", "activations"), [("vision_encode", 600), ("prefill", 500), ("decode", 50), ("train_step", 2000)]
)
def test_activations_are_what_is_left_of_a_peak_without_weights_and_keys(stage: str, activations: float) -> None:
    found = one(compute(request()), "activations", stage=stage)
    assert (found.value, found.n) == (activations, 3)


def test_without_weights_nothing_is_taken_apart() -> None:
    rows = [row for row in request() if isinstance(row, MemoryRow) and row.stage != "weights"]
    assert [f for f in compute(rows) if f.metric == "activations"] == []


def test_of_a_batch_every_request_has_keys_of_its_own() -> None:
    rows = [
        reading(r, stage, quantity, size, batch=8)
        for r in range(2)
        for stage, quantity, size in (
            ("weights", "exact", 1000), ("kv_per_token", "exact", 4), ("decode", "live_tensors", 5000),
        )
    ]  # type: ignore[arg-type]  # literals  # fmt: skip
    assert one(compute(rows), "activations", stage="decode").value == 5000 - 1000 - 8 * 100 * 4


def test_on_cuda_pieces_are_a_share_of_what_was_reserved_and_the_rest_is_not_torchs() -> None:
    rows = [
        reading(r, "decode", quantity, size + r)
        for r in range(3)
        for quantity, size in (
            ("allocated", 500), ("reserved", 800), ("active", 510), ("inactive_split", 80), ("non_torch", 300),
            ("device", 1100),
        )
    ]  # type: ignore[arg-type]  # literals  # fmt: skip
    figures = compute(rows)
    share = one(figures, "fragmentation", stage="decode")
    assert share.value == pytest.approx(sum((80 + r) / (800 + r) for r in range(3)) / 3)
    assert share.low is not None and share.low < (share.value or 0) < (share.high or 0)
    assert (share.unit, share.n) == ("fraction", 3)
    assert one(figures, "non_torch").value == 301
    assert one(figures, "stage_end", quantity="active").value == 511
    assert one(figures, "stage_end", quantity="device").value == 1101
    assert {f.labels["quantity"] for f in figures if f.metric == "stage_peak"} == {"allocated", "reserved"}


def test_predicted_over_measured_turns_the_measured_interval_over() -> None:
    rows: list[Row] = [reading(r, "prefill", "live_tensors", size) for r, size in enumerate((1900, 2000, 2100))]
    figures = compute([*rows, predicted("prefill", "live_tensors", 1800)])
    ratio, measured = one(figures, "predicted_over_measured"), one(figures, "stage_peak")
    assert ratio.value == pytest.approx(0.9)
    assert measured.low and measured.high and ratio.low and ratio.high
    assert (ratio.low, ratio.high) == (1800 / measured.high, 1800 / measured.low)
    assert ratio.n == 3
    stated = one(figures, "predicted")
    assert (stated.value, stated.low, stated.n_unit, stated.status) == (1800, None, "configurations", "ok")


def test_a_prediction_for_another_context_is_not_compared() -> None:
    figures = compute([*request(), predicted("prefill", "live_tensors", 1800, context=99)])
    assert one(figures, "predicted").value == 1800
    assert [f for f in figures if f.metric == "predicted_over_measured"] == []


def test_a_prediction_that_nothing_was_measured_beside_stands_alone() -> None:
    figures = compute([*request(), predicted("prefill", "reserved", 1800)])
    assert [f for f in figures if f.metric == "predicted_over_measured"] == []


def test_a_server_is_quoted_once_and_has_no_peak_of_a_request() -> None:
    rows: list[Row] = [
        MemoryRow("a", 0, "server", "kv_cache", 2**30, (0, 0), 0, 419_328),
        FailureRow("a", "memory", "sample", "weights", "no access", status="undefined"),
    ]
    figures = compute(rows)
    room = one(figures, "server_memory", quantity="kv_cache")
    assert (room.value, room.labels["tokens"], room.status, room.low) == (2**30, "419328", "ok", None)
    weights = one(figures, "server_memory", quantity="weights")
    assert (weights.value, weights.status, weights.reason) == (None, "undefined", "no access")
    peak = one(figures, "peak_memory")
    assert (peak.status, peak.headline) == ("undefined", True)
    assert "reserves its memory as it starts" in (peak.reason or "")
    assert not [f for f in figures if f.metric == "context"]


@pytest.mark.parametrize(
    ("where", "metric"), [("train_step", "train_step_peak"), ("device", "stage_end"), ("kv_cache", "server_memory")]
)
def test_a_single_reading_that_is_not_there_says_why_and_costs_no_other(where: str, metric: str) -> None:
    rows = [row for row in request() if isinstance(row, MemoryRow) and row.stage != "train_step"]
    figures = compute([*rows, FailureRow("a", "memory", "sample", where, "it hurts")])
    assert (one(figures, metric).status, one(figures, metric).reason) == ("failed", "it hurts")
    assert one(figures, "peak_memory").status == "ok"


def test_every_new_metric_has_a_definition_in_words() -> None:
    for name in ("activations", "train_step_peak", "stage_end", "non_torch", "fragmentation", "predicted",
                 "predicted_over_measured", "server_memory", "joules_per_answer"):  # fmt: skip
        assert len(TEXTS[DEFINITIONS[name]]) > 40


def block(number: int, joules: float, seconds: float = 6.0, answers: int = 20) -> EnergyRow:
    return EnergyRow(
        "a", "describe-32", Load("closed", 8), "warm", number, joules, seconds, answers,
        "nvmlDeviceGetTotalEnergyConsumption",
    )  # fmt: skip


def test_joules_an_answer_are_over_blocks() -> None:
    found = one(compute([block(n, joules) for n, joules in enumerate((400.0, 440.0, 480.0))]), "joules_per_answer")
    assert (found.value, found.n, found.unit, found.status) == (22.0, 3, "J", "ok")
    assert found.low is not None and 17.0 < found.low < 22.0 < (found.high or 0) < 27.0
    assert found.labels.pop("counter") == "nvmlDeviceGetTotalEnergyConsumption"
    assert found.labels == {"workload": "describe-32", "concurrency": "8", "cache": "warm"}


def test_blocks_shorter_than_a_counter_can_see_are_left_out_and_said() -> None:
    rows = [block(0, 400.0), block(1, 400.0), block(2, 9999.0, seconds=0.8)]
    found = one(compute(rows), "joules_per_answer")
    assert (found.value, found.n, found.reason) == (20.0, 2, "1 of 3 blocks were too short")
    alone = one(compute(rows[2:]), "joules_per_answer")
    assert (alone.status, alone.reason) == ("undefined", "the longest block took 0.8 s, and its counter needs 5 s")


def test_a_counter_that_is_renewed_every_millisecond_needs_no_long_block() -> None:
    rows = [msgspec.structs.replace(block(n, 2.0, seconds=0.8), method="RAPL package-0", least_s=0.1) for n in (0, 1)]
    assert one(compute(rows), "joules_per_answer").status == "ok"


def test_one_block_is_too_few() -> None:
    assert one(compute([block(0, 400.0)]), "joules_per_answer").status == "too_few"


def test_a_candidate_whose_energy_nobody_can_say_has_the_reason_in_place_of_a_number() -> None:
    rows: list[Row] = [FailureRow("b", "latency", "sample", "energy", "no RAPL counter", status="undefined")]
    found = {f.candidate: f for f in compute([*rows, block(0, 400.0), block(1, 420.0)]) if f.unit == "J"}
    assert (found["b"].status, found["b"].reason) == ("undefined", "no RAPL counter")
    assert found["a"].status == "ok"
