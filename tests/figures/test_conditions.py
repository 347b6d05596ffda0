from __future__ import annotations

from collections.abc import Callable

import msgspec

from fourways.core.rows import RequestRow, Row
from fourways.figures import compute, conditions, process_growth
from fourways.figures.latency import WORKLOADS
from fourways.load.workload import DESCRIBE_32, read_workload


def test_headlines_say_under_which_conditions_they_hold(full_run: Callable[[], list[Row]]) -> None:
    said = conditions(compute(full_run()))
    assert list(said) == ["accuracy", "latency", "memory", "tuning"]
    assert said["accuracy"].startswith("mean over ")
    assert said["latency"] == ("describe-32 (one picture a request, 32 new tokens), one request at a time, warm cache")
    assert "640\N{MULTIPLICATION SIGN}480 px" in said["memory"] and "live tensors" in said["memory"]
    assert said["tuning"]


def test_what_has_no_value_has_no_conditions() -> None:
    assert conditions([]) == {}


def test_the_workload_that_is_timed_is_known_in_words(full_run: Callable[[], list[Row]]) -> None:
    timed = read_workload(DESCRIBE_32).spec.label
    rows = [msgspec.structs.replace(row, workload=timed) if isinstance(row, RequestRow) else row for row in full_run()]
    assert conditions(compute(rows))["latency"].startswith(f"{timed} ({WORKLOADS[DESCRIBE_32]}), one request")


def test_growth_is_named_only_where_it_exceeds_the_tensors(full_run: Callable[[], list[Row]]) -> None:
    figures = compute(full_run())
    assert process_growth(figures) == {"a": (9e6, 9e7), "b": (9e6, 9e7)}
    small = [
        msgspec.structs.replace(f, value=1e6) if f.labels.get("quantity") == "process_above_load" else f
        for f in figures
    ]
    assert process_growth(small) == {}
