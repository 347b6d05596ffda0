from __future__ import annotations

from collections.abc import Callable

import pytest

from fourways.core.figure import Figure
from fourways.core.rows import ClientRow, FailureRow, RequestRow
from fourways.figures import compute

MakeRow = Callable[..., RequestRow]


def one(figures: tuple[Figure, ...], metric: str, **labels: str) -> Figure:
    (found,) = [f for f in figures if f.metric == metric and labels.items() <= f.labels.items()]
    return found


def test_the_headline_is_the_median_whole_answer_of_one_user_with_a_warm_cache(request_row: MakeRow) -> None:
    rows = [request_row(i, 100.0 + i, cache=cache) for cache in ("cold", "warm") for i in range(80)]
    (headline,) = [f for f in compute(rows) if f.headline]
    assert (headline.metric, headline.labels["cache"], headline.labels["concurrency"]) == ("e2e_p50", "warm", "1")
    assert (headline.value, headline.n, headline.status) == (139.0, 80, "ok")
    assert headline.low is not None and headline.high is not None and headline.low < 139 < headline.high


def test_settings_are_kept_apart(request_row: MakeRow) -> None:
    rows = [request_row(i, 100.0 * c, concurrency=c) for c in (1, 8) for i in range(80)]
    figures = compute(rows)
    assert one(figures, "e2e_p95", concurrency="1").value == 100.0
    assert one(figures, "e2e_p95", concurrency="8").value == 800.0


@pytest.mark.parametrize(("n", "p50", "p95"), [(5, "too_few", "too_few"), (71, "ok", "too_few"), (72, "ok", "ok")])
def test_a_quantile_needs_its_n(request_row: MakeRow, n: int, p50: str, p95: str) -> None:
    figures = compute([request_row(i, 100.0 + i) for i in range(n)])
    assert (one(figures, "ttft_p50").status, one(figures, "ttft_p95").status) == (p50, p95)
    assert one(figures, "chunk_gap_p95").status == p95


def test_requests_that_are_answered_together_are_no_independent_ones(request_row: MakeRow) -> None:
    """Rounds of eight in lockstep, told in the order of their ends: ten times, not eighty."""
    rows = [
        request_row(i, 100.0 + 10 * (i // 8), concurrency=8, block=i // 16, scheduled_ms=float(i % 16))
        for i in range(80)
    ]
    shuffled = compute(sorted(rows, key=lambda row: (row.block, -row.item)))
    median, tail = (one(shuffled, name, concurrency="8") for name in ("e2e_p50", "e2e_p95"))
    assert (median.status, median.value, median.low, median.high) == ("ok", 140.0, 110.0, 180.0)
    assert (tail.status, tail.value) == ("too_few", 190.0)
    assert tail.reason == "80 requests, served together, are worth 10 independent ones; 72 are needed"
    alone = one(compute([request_row(row.item, row.e2e_ms, block=row.block) for row in rows]), "e2e_p50")
    assert alone.low is not None and alone.high is not None and alone.low > 110 and alone.high < 180


def test_a_part_of_ttft_is_as_sure_as_its_rounds(request_row: MakeRow) -> None:
    same = [request_row(i, 100.0 + 10 * (i // 8), concurrency=8, block=0, scheduled_ms=float(i)) for i in range(80)]
    eight = one(compute(same), "ttft_part", stage="prefill")
    single = one(compute([request_row(i, 100.0 + 10 * i) for i in range(10)]), "ttft_part", stage="prefill")
    assert (eight.value, eight.n, single.n) == (pytest.approx(single.value), 80, 10)
    assert (eight.low, eight.high) == (pytest.approx(single.low), pytest.approx(single.high))


def test_failures_that_come_in_a_clump_say_less_than_as_many_single_ones(request_row: MakeRow) -> None:
    def rate(failed: set[int]) -> Figure:
        rows = [
            request_row(i, error="lost", ttft_ms=None, e2e_ms=None, tpot_ms=None) if i in failed else request_row(i)
            for i in range(100)
        ]
        return one(compute(rows), "failure_rate")

    clump, spread = rate(set(range(40, 50))), rate(set(range(0, 100, 10)))
    assert clump.value == spread.value == pytest.approx(0.1)
    assert (clump.high or 0) - (clump.low or 0) > 1.5 * ((spread.high or 0) - (spread.low or 0))


def test_failed_requests_count_as_endless(request_row: MakeRow) -> None:
    """10 of 100 failed: the median moves up, the 95th percentile is lost, and the rate is shown."""
    rows = [request_row(i, 100.0 + i) for i in range(90)]
    rows += [request_row(90 + i, error="timeout", ttft_ms=None, e2e_ms=None, tpot_ms=None) for i in range(10)]
    figures = compute(rows)
    assert one(figures, "e2e_p50").value == 149.0
    lost = one(figures, "e2e_p95")
    assert (lost.status, lost.value, lost.reason) == ("failed", None, "10 of 100 requests failed")
    assert one(figures, "failure_rate").value == pytest.approx(0.1)
    assert one(figures, "failure_rate").n == 100


def test_an_interval_that_reaches_failures_is_none(request_row: MakeRow) -> None:
    rows = [request_row(i, 100.0 + i) for i in range(97)]
    rows += [request_row(97 + i, error="timeout", ttft_ms=None, e2e_ms=None, tpot_ms=None) for i in range(3)]
    found = one(compute(rows), "e2e_p95")
    assert (found.value, found.status, found.high) == (194.0, "too_few", None)
    assert found.reason == "the interval reaches into the requests that failed"


def test_throughput_is_a_mean_over_blocks(request_row: MakeRow) -> None:
    """20 requests a block, one every second: 19 of them have ended when the last is sent, 19 s after the first."""
    figures = compute([request_row(i) for i in range(60)])
    found = one(figures, "requests_per_s")
    assert (found.value, found.n, found.n_unit) == (pytest.approx(1.0), 3, "blocks")
    assert one(figures, "tokens_per_s").value == pytest.approx(32.0)


@pytest.mark.parametrize(("requests", "places"), [(50, 4), (50, 32), (33, 32)])
def test_a_closed_loop_that_runs_empty_at_its_end_tells_the_rate_of_its_full_places(
    request_row: MakeRow, requests: int, places: int
) -> None:
    """Each answer takes 400 ms, so that `places` of them are served in 0.4 s however many are asked."""
    rows = [
        request_row(i, 400.0, block=block, concurrency=places, scheduled_ms=i // places * 400.0)
        for block in range(3)
        for i in range(requests)
    ]
    rounds = (requests - 1) // places  # whole ones, before the last is sent
    assert one(compute(rows), "requests_per_s").value == pytest.approx(places * rounds / (0.4 * rounds))


def test_a_closed_loop_whose_places_were_never_taken_twice_has_no_rate(request_row: MakeRow) -> None:
    rows = [request_row(i, concurrency=8, block=i // 8, scheduled_ms=0.0) for i in range(24)]
    assert one(compute(rows), "requests_per_s").reason == "no block has more requests than the loop has places"


def test_an_open_loop_is_counted_to_its_last_end_and_its_rate_is_not_below_0(request_row: MakeRow) -> None:
    sent = {"concurrency": None, "arrivals": "poisson", "rate_per_s": 1.0}
    rows = [request_row(i, **sent) for i in range(20)]
    rows += [request_row(20 + i, **sent, error="the server is gone", e2e_ms=None, ttft_ms=None) for i in range(20)]
    found = one(compute(rows), "requests_per_s")
    assert (found.value, found.low) == (pytest.approx(20 / 19.3 / 2), 0.0)


def test_tokens_that_nobody_counted_are_undefined(request_row: MakeRow) -> None:
    rows = [request_row(i, output_tokens=None, tpot_ms=None) for i in range(10)]
    figures = compute(rows)
    assert one(figures, "tokens_per_s").reason == "the engine did not count tokens"
    assert one(figures, "tpot_p50").status == "undefined"
    assert one(figures, "requests_per_s").value is not None


def test_stages_have_their_medians(request_row: MakeRow) -> None:
    assert one(compute([request_row(i, 100.0) for i in range(10)]), "stage_p50", stage="prefill").value == 20.0


def test_gaps_are_pooled_and_counted_by_request(request_row: MakeRow) -> None:
    found = one(compute([request_row(i) for i in range(30)]), "chunk_gap_p50")
    assert (found.value, found.n, found.n_unit) == (10.0, 30, "requests")


def test_without_a_warm_single_user_the_headline_is_undefined(request_row: MakeRow) -> None:
    (headline,) = [f for f in compute([request_row(i, concurrency=8) for i in range(80)]) if f.headline]
    assert (headline.status, headline.reason) == ("undefined", "no requests at concurrency 1 with a warm cache")


def test_a_lost_axis_says_why_and_keeps_what_was_measured(request_row: MakeRow) -> None:
    rows = [*(request_row(i) for i in range(30)), FailureRow("a", "latency", "axis", "", "out of memory")]
    figures = compute(rows)
    (headline,) = [f for f in figures if f.headline]
    assert (headline.status, headline.reason) == ("failed", "out of memory")
    assert one(figures, "e2e_p50", cache="warm").value == 300.0


def test_an_open_loop_is_named_by_its_rate_and_kept_from_the_closed_ones(request_row: MakeRow) -> None:
    rows = [request_row(i) for i in range(80)]
    rows += [request_row(i, 500.0, concurrency=None, arrivals="poisson", rate_per_s=20.0) for i in range(80)]
    figures = compute(rows)
    assert one(figures, "e2e_p50", load="poisson 20/s").value == 500.0
    assert one(figures, "e2e_p50", concurrency="1").value == 300.0


def test_the_parts_of_ttft_add_up_to_its_mean(request_row: MakeRow) -> None:
    """Even where one request skipped a stage that others had."""
    rows = [
        request_row(
            i, dispatched_ms=i % 20 * 1000.0 + 2.0, stages_ms={"preprocess": 5.0, "prefill": 20.0, "decode": 9.0}
        )
        for i in range(30)
    ]
    rows += [request_row(30 + i, stages_ms={"prefill": 20.0}) for i in range(10)]
    parts = {f.labels["stage"]: f.value for f in compute(rows) if f.metric == "ttft_part"}
    assert parts == pytest.approx({"dispatch": 1.5, "preprocess": 3.75, "prefill": 20.0, "rest": 75 - 25.25})


def test_the_99th_percentile_needs_368_requests(request_row: MakeRow) -> None:
    too_few = one(compute([request_row(i, 100.0 + i) for i in range(367)]), "ttft_p99")
    assert (too_few.status, too_few.reason) == ("too_few", "367 requests cannot carry an interval")
    assert one(compute([request_row(i, 100.0 + i) for i in range(368)]), "ttft_p99").status == "ok"


def test_times_that_the_client_may_have_set_say_so(request_row: MakeRow) -> None:
    load = request_row(0).load
    health = [
        ClientRow("a", "describe-32", load, "warm", block, 1000.0, 950.0, 200, 1.0, 9.0, 30.0, False, bound)
        for block, bound in ((0, None), (1, "its event loop was busy 95 % of the time"))
    ]
    figures = compute([*(request_row(i, 100.0 + i) for i in range(80)), *health])
    assert one(figures, "ttft_p95").reason == (
        "client-bound in 1 of 2 blocks: its event loop was busy 95 % of the time"
    )
    assert str(one(figures, "ttft_p99").reason).startswith("80 requests cannot carry an interval; client-bound in 1")
    assert one(figures, "client_cpu").value == pytest.approx(0.95)
    assert one(figures, "client_lag_p99").value == 9.0
