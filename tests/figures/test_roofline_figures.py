from __future__ import annotations

from collections.abc import Callable

import pytest

from fourways.core.figure import Figure
from fourways.core.rows import CeilingRow, RequestRow, Row, WorkRow
from fourways.figures import compute

MakeRow = Callable[..., RequestRow]


def ceilings() -> list[Row]:
    values = {"copy_bytes_per_s": (8e9, 1e10), "matmul_flops_per_s": (9e10, 1e11)}
    return [
        CeilingRow("a", "cpu", "float32", 1, quantity, trial, 1 << 20, value)  # type: ignore[arg-type]  # a literal
        for quantity, found in values.items()
        for trial, value in enumerate(found)
    ]


def work(item: int, **more: object) -> WorkRow:
    values = {"tokens": 100, "passes": 1, "flops": 1e9, "weight_bytes": 1e7, "kv_bytes": 0.0, "activation_bytes": 0.0}
    return WorkRow(candidate="a", workload="describe-32", phase="prefill", item=item, **{**values, **more})  # type: ignore[arg-type]  # a test's own


def share(figures: tuple[Figure, ...], metric: str = "roofline_share") -> Figure:
    (found,) = [f for f in figures if f.metric == metric]
    return found


def test_the_share_is_the_least_time_over_the_measured_one(request_row: MakeRow) -> None:
    """1e9 operations at 1e11 a second take 10 ms; the prefill took 60."""
    rows: list[Row] = [request_row(i, cache="cold", stages_ms={"prefill": 60.0}) for i in range(8)]
    found = compute([*rows, *ceilings(), *(work(i) for i in range(8))])
    assert share(found, "roofline_limit").value == pytest.approx(10.0)
    assert (share(found).value, share(found).n) == (pytest.approx(1 / 6), 8)
    assert share(found).reason == "limited by arithmetic"


def test_many_passes_over_the_weights_are_limited_by_memory(request_row: MakeRow) -> None:
    rows: list[Row] = [request_row(i, cache="cold", stages_ms={"prefill": 100.0}) for i in range(8)]
    found = compute([*rows, *ceilings(), *(work(i, flops=1e6, passes=31) for i in range(8))])
    assert share(found, "roofline_limit").value == pytest.approx(31.0)
    assert share(found).reason == "limited by memory"


def test_only_requests_that_were_alone_and_cold_count(request_row: MakeRow) -> None:
    rows: list[Row] = [request_row(i, cache="cold", concurrency=8, stages_ms={"prefill": 1.0}) for i in range(8)]
    rows += [request_row(i, cache="warm", stages_ms={"prefill": 1.0}) for i in range(8)]
    found = share(compute([*rows, *ceilings(), *(work(i) for i in range(8))]))
    assert (found.status, found.reason) == ("undefined", "no request of this phase was timed alone")


def test_a_ceiling_is_the_fastest_trial_with_the_range_of_all() -> None:
    found = share(compute(ceilings()), "copy_bandwidth")
    assert (found.value, found.low, found.high, found.n) == (1e10, 8e9, 1e10, 2)
