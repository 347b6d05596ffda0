"""Figures that only a load run has, on rows whose answers are known."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

import pytest

from fourways.core.figure import Figure
from fourways.core.load import Load
from fourways.core.objective import Objective
from fourways.core.rows import ProbeRow, ProbeVerdict, RequestRow, Row, TermsRow
from fourways.figures import TEXTS, compute

MakeRow = Callable[..., RequestRow]
SLO = (Objective("ttft", 0.05, 100.0), Objective("failures", 0.01))


def found(rows: Sequence[Row], metric: str, **labels: str) -> list[Figure]:
    return [f for f in compute(rows) if f.metric == metric and labels.items() <= f.labels.items()]


def one(rows: Sequence[Row], metric: str, **labels: str) -> Figure:
    (figure,) = found(rows, metric, **labels)
    assert figure.definition in TEXTS
    return figure


def broken(request_row: MakeRow, item: int) -> RequestRow:
    return request_row(item, error="timeout", ttft_ms=None, e2e_ms=None, tpot_ms=None)


def test_a_run_without_terms_has_none_of_these(request_row: MakeRow) -> None:
    figures = compute([request_row(i) for i in range(80)])
    assert not {f.metric for f in figures} & {"slo_attainment", "goodput", "cost_per_1000", "knee"}


def test_attainment_counts_requests_that_keep_every_limit_and_goodput_only_those(request_row: MakeRow) -> None:
    """Of 100 requests 4 are late and 1 fails; 5 blocks of 20 that begin a second apart and last 19.3 s."""
    rows: list[Row] = [TermsRow("a", SLO)]
    rows += [request_row(i, 300.0, ttft_ms=150.0 if i in (3, 23, 43, 63) else 75.0) for i in range(100) if i != 85]
    rows.append(broken(request_row, 85))
    attained = one(rows, "slo_attainment")
    assert (attained.value, attained.n, attained.status) == (0.95, 100, "ok")
    assert attained.labels["slo"] == "ttft_p95=100ms,failures=1%"
    assert attained.low is not None and attained.high is not None and 0.85 < attained.low < 0.95 < attained.high < 1
    goodput = one(rows, "goodput")
    assert goodput.value == pytest.approx(18 / 19) and goodput.n == 5
    assert one(rows, "slo_objective", objective="failures=1%").value == 0.99


def test_failed_and_answered_requests_that_were_due_together_are_both_counted(request_row: MakeRow) -> None:
    together = {"scheduled_ms": 0.0, "dispatched_ms": 0.0, "block": 0}
    bad = request_row(9, error="x", ttft_ms=None, e2e_ms=None, tpot_ms=None, **together)
    rows: list[Row] = [TermsRow("a", SLO), bad, *(request_row(i, **together) for i in range(9))]
    assert one(rows, "slo_attainment").value == 0.9
    assert one(rows, "slo_attainment") == one([*reversed(rows)], "slo_attainment")


def test_cost_is_price_over_answers_a_second_and_its_interval_is_that_of_the_rate(request_row: MakeRow) -> None:
    rows: list[Row] = [TermsRow("a", (), 3.6, "EUR"), *(request_row(i, 300.0) for i in range(100))]
    cost = one(rows, "cost_per_1000")
    assert cost.value == pytest.approx(1.0)
    assert cost.labels["price an hour"] == "3.6 EUR" and cost.unit == "per 1,000 answers"
    assert cost.low is not None and cost.high is not None and cost.low <= cost.value <= cost.high


def test_a_server_that_answers_nothing_has_no_cost(request_row: MakeRow) -> None:
    rows: list[Row] = [TermsRow("a", (), 3.6, "EUR"), *(broken(request_row, i) for i in range(20))]
    assert (one(rows, "cost_per_1000").status, one(rows, "cost_per_1000").value) == ("failed", None)


def sweep(request_row: MakeRow, concurrencies: Sequence[int]) -> list[Row]:
    """A server with 8 places: e2e is 200 ms up to 8 at once, and grows with the queue beyond."""
    luck = random.Random(1)
    rows: list[Row] = [TermsRow("a", ())]
    for concurrency in concurrencies:
        e2e = 200.0 * max(1, concurrency / 8)
        for block in range(4):
            rows += [
                request_row(
                    i, e2e * luck.uniform(0.95, 1.05), concurrency=concurrency, block=block,
                    scheduled_ms=i // concurrency * e2e, dispatched_ms=i // concurrency * e2e,
                )
                for i in range(4 * concurrency)
            ]  # fmt: skip
    return rows


def test_the_knee_is_the_load_of_greatest_power_with_an_interval_from_resamples(request_row: MakeRow) -> None:
    knee = one(sweep(request_row, [1, 2, 4, 8, 16, 32]), "knee_concurrency")
    assert (knee.value, knee.n, knee.n_unit, knee.status) == (8.0, 6, "loads", "ok")
    assert knee.low is not None and knee.high is not None and knee.low <= 8 <= knee.high
    assert knee.labels["loads"] == "1, 2, 4, 8, 16, 32" and knee.reason is None


def test_a_knee_at_the_end_of_the_sweep_says_that_it_may_lie_beyond(request_row: MakeRow) -> None:
    knee = one(sweep(request_row, [1, 2, 4]), "knee_concurrency")
    assert knee.value == 4.0 and knee.reason is not None and "beyond" in knee.reason


def test_two_loads_are_no_sweep(request_row: MakeRow) -> None:
    assert not found(sweep(request_row, [1, 2]), "knee_concurrency")


def probe(
    rate: float, verdict: ProbeVerdict, purpose: Literal["bracket", "narrow", "confirm"] = "narrow", why: str = "seen"
) -> ProbeRow:
    load = Load("constant", rate_per_s=rate)
    return ProbeRow("a", "w", load, "mixed", 0, purpose, verdict, why, 130, 0)


def test_capacity_is_what_was_confirmed_and_its_interval_is_the_bracket() -> None:
    rows: list[Row] = [TermsRow("a", SLO), probe(10, "meets"), probe(40, "misses"), probe(20, "meets")]
    rows += [probe(21, "misses"), probe(20, "meets", "confirm")]
    capacity = one(rows, "capacity")
    assert (capacity.value, capacity.low, capacity.high, capacity.n) == (20, 20, 21, 5)
    assert capacity.labels["arrivals"] == "constant" and capacity.n_unit == "probes"


def test_what_was_not_confirmed_is_no_capacity_and_the_reason_stands_there() -> None:
    rows: list[Row] = [TermsRow("a", SLO), probe(1, "misses", why="ttft_p95=100ms: 40.0 to 60.0 % miss it")]
    capacity = one(rows, "capacity")
    assert (capacity.value, capacity.status) == (None, "failed")
    assert capacity.reason is not None and "40.0 to 60.0 %" in capacity.reason


def test_a_load_that_met_and_could_not_be_confirmed_for_the_clients_sake_is_a_lower_bound() -> None:
    rows: list[Row] = [TermsRow("a", SLO), probe(9.6, "meets"), probe(13.6, "meets"), probe(14.2, "meets")]
    rows += [probe(14.2, "client_bound", "confirm", "client-bound: lag")] * 2
    capacity = one(rows, "capacity")
    assert (capacity.value, capacity.low, capacity.high) == (14.2, None, None)
    assert capacity.reason == ("a lower bound, not confirmed: the greatest load that met it; client-bound: lag")


def test_a_load_that_met_above_one_that_missed_is_no_bound() -> None:
    rows: list[Row] = [TermsRow("a", SLO), probe(10, "meets"), probe(8, "misses", "confirm", "seen")]
    assert one(rows, "capacity").value is None


def test_a_client_that_could_not_keep_up_leaves_the_bracket_open_above() -> None:
    rows: list[Row] = [TermsRow("a", SLO), probe(20, "meets"), probe(40, "client_bound", why="client-bound: lag")]
    capacity = one([*rows, probe(20, "meets", "confirm")], "capacity")
    assert (capacity.value, capacity.high, capacity.status, capacity.reason) == (
        20,
        None,
        "too_few",
        "client-bound: lag",
    )


def test_a_bracket_that_the_client_kept_from_narrowing_says_so() -> None:
    rows: list[Row] = [TermsRow("a", SLO), probe(20, "meets"), probe(40, "misses")]
    rows += [probe(28, "client_bound", why="client-bound: lag"), probe(20, "meets", "confirm")]
    capacity = one(rows, "capacity")
    assert (capacity.value, capacity.high, capacity.status, capacity.reason) == (20, 40, "ok", "client-bound: lag")


def test_a_client_that_kept_up_when_the_probe_was_made_again_is_not_held_against_the_capacity() -> None:
    rows: list[Row] = [TermsRow("a", SLO), probe(20, "meets"), probe(40, "client_bound"), probe(40, "misses")]
    capacity = one([*rows, probe(20, "meets", "confirm")], "capacity")
    assert (capacity.high, capacity.status, capacity.reason) == (40, "ok", None)


def test_power_is_of_blocks_since_requests_of_one_block_wait_for_each_other(request_row: MakeRow) -> None:
    """Between the blocks of each load e2e differs tenfold more than within one."""
    rows: list[Row] = [TermsRow("a", ())]
    for concurrency in (1, 2, 4):
        for block, e2e in enumerate((100.0, 200.0, 300.0)):
            rows += [request_row(i, e2e + i % 2, concurrency=concurrency, block=block) for i in range(20)]
    power = one(rows, "power", concurrency="2")
    assert (power.n, power.n_unit) == (3, "blocks")
    assert power.value is not None and power.low is not None and power.low < 0.5 * power.value


def runs(
    request_row: MakeRow, name: str, middles: Sequence[float], kind: Literal["restarts", "blocks"] = "restarts"
) -> list[Row]:
    rows: list[Row] = [TermsRow(name, (), runs=kind)]
    for run, middle in enumerate(middles):
        where = {"restart": run} if kind == "restarts" else {}
        rows += [request_row(i, middle + i, candidate=name, block=run, **where) for i in range(21)]
    return rows


def test_run_medians_that_never_overlap_are_separated_by_the_exact_test(request_row: MakeRow) -> None:
    rows = runs(request_row, "a", [100, 101, 102, 103, 104]) + runs(request_row, "b", [120, 121, 122, 123, 124])
    difference = one(rows, "e2e_run_difference")
    assert (difference.candidate, difference.value, difference.n) == ("a", -20.0, 5)
    assert difference.labels["verdict"] == "a is ahead of b" and difference.labels["p"] == "0.0079"
    assert difference.labels["versus"] == "b" and difference.labels["runs"] == "restarts"
    assert difference.low is not None and difference.high is not None and difference.low < -20 < difference.high < 0


def test_a_difference_at_one_of_five_loads_is_separated_by_four_blocks_each(request_row: MakeRow) -> None:
    rows: list[Row] = [TermsRow("a", ()), TermsRow("b", ())]
    luck = random.Random(3)
    for concurrency in (1, 2, 4, 8, 16):
        for name in ("a", "b"):
            slow = 500.0 if (name, concurrency) == ("b", 16) else 0.0
            for block in range(4):
                e2e = 100 + slow + 10 * luck.random()
                more = {"candidate": name, "block": block, "concurrency": concurrency}
                rows += [request_row(i, e2e, **more) for i in range(9)]
    said = {f.labels["concurrency"]: f.labels["verdict"] for f in found(rows, "e2e_run_difference")}
    assert said["16"] == "a is ahead of b"
    assert all("among 15 comparisons" in said[one] for one in ("1", "2", "4", "8"))


def test_more_candidates_than_the_runs_can_tell_apart_is_said(request_row: MakeRow) -> None:
    rows: list[Row] = []
    for i, name in enumerate("abc"):
        rows += runs(request_row, name, [100 * i + k for k in range(1, 5)])
    assert one(rows, "e2e_run_difference", versus="b").labels["verdict"] == (
        "not separated (4 restarts each are too few to tell so many candidates apart)"
    )


def test_what_is_not_separated_says_which_difference_could_have_been_seen(request_row: MakeRow) -> None:
    rows = runs(request_row, "a", [100, 110, 120, 130, 140]) + runs(request_row, "b", [102, 112, 122, 132, 142])
    verdict = one(rows, "e2e_run_difference").labels["verdict"]
    assert verdict.startswith("not separated (this n sees differences of ")


def test_three_runs_each_are_too_few_to_tell(request_row: MakeRow) -> None:
    rows = runs(request_row, "a", [1, 2, 3], "blocks") + runs(request_row, "b", [9, 9, 9], "blocks")
    difference = one(rows, "e2e_run_difference")
    assert difference.status == "too_few" and difference.labels["verdict"].startswith("not separated (3 blocks")


def test_a_run_in_which_most_requests_failed_has_no_median(request_row: MakeRow) -> None:
    rows = runs(request_row, "a", [100, 101, 102, 103, 104]) + runs(request_row, "b", [120, 121, 122, 123])
    rows += [request_row(i, candidate="b", block=4, restart=4, error="x", ttft_ms=None, e2e_ms=None) for i in range(9)]
    difference = one(rows, "e2e_run_difference")
    assert (difference.status, difference.reason) == ("failed", "more than half of a run's requests failed")
