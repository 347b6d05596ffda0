from __future__ import annotations

from collections.abc import Callable

import msgspec

from fourways.core.load import Load
from fourways.core.objective import Objective
from fourways.core.rows import ProbeRow, RequestRow, Row, TermsRow
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


def test_a_load_run_leads_with_its_least_load_and_says_how_it_was_sent(request_row: Callable[..., RequestRow]) -> None:
    rows: list[Row] = [TermsRow("a", ())]
    rows += [request_row(i, workload="w", concurrency=8) for i in range(40)]
    assert conditions(compute(rows))["latency"] == "w, 8 requests at a time, warm cache"
    sent = {"workload": "w", "concurrency": None, "arrivals": "poisson", "cache": "mixed"}
    for rate in (20.0, 5.0):
        rows += [request_row(i, rate_per_s=rate, **sent) for i in range(9)]
    (head,) = [f for f in compute(rows[41:] + rows[:1]) if f.headline]
    assert (head.metric, head.labels["load"]) == ("e2e_p50", "poisson 5/s")
    assert conditions([head])["latency"] == "w, poisson 5/s, cache as repeats made it"


def test_a_load_run_that_searched_leads_with_what_it_found(request_row: Callable[..., RequestRow]) -> None:
    load = Load("poisson", rate_per_s=20.0)
    probe = ProbeRow("a", "w", load, "mixed", 0, "confirm", "meets", "all of them", 100, 0)
    rows: list[Row] = [TermsRow("a", (Objective("ttft", 0.05, 500.0), Objective("failures", 0.01))), probe]
    rows += [request_row(i, concurrency=None, arrivals="poisson", rate_per_s=20.0) for i in range(9)]
    (head,) = [f for f in compute(rows) if f.headline]
    assert (head.metric, head.value) == ("capacity", 20.0)
    assert conditions([head])["latency"] == (
        "w, Poisson arrivals, ttft_p95=500ms and failures=1%, cache as repeats made it"
    )


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
