from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.core.errors import UserError
from fourways.core.figure import AXES, Axis, Figure, Status
from fourways.core.rows import Row
from fourways.figures import compute, judge, pareto, parse_requirements
from fourways.figures.require import SUBJECTS

METRICS: dict[Axis, tuple[str, str, str]] = {
    "accuracy": ("aggregate", "fraction", "higher"),
    "latency": ("e2e_p50", "ms", "lower"),
    "memory": ("peak_memory", "bytes", "lower"),
    "tuning": ("gain", "fraction", "higher"),
}


def headline(
    name: str, axis: Axis, value: float | None, status: Status = "ok", half: float = 0.0, metric: str = ""
) -> Figure:
    own, unit, direction = METRICS[axis]
    ends = (None, None) if value is None else (value - half, value + half)
    labels = {"workload": "w", "concurrency": "1", "cache": "warm"} if axis == "latency" else {}
    return Figure(
        axis, name, metric or own, "d@1", unit, direction, value, *ends, 100, "n", status,  # type: ignore[arg-type]  # a literal
        None if status == "ok" else "no access", labels, not metric,
    )  # fmt: skip


def row_of(name: str, accuracy: float, latency: float, memory: float | None = None) -> list[Figure]:
    figures = [headline(name, "accuracy", accuracy), headline(name, "latency", latency)]
    return [*figures, headline(name, "memory", memory)] if memory is not None else figures


def front(figures: list[Figure]) -> set[str]:
    return {placed.candidate for placed in pareto(figures) if placed.on_front}


def test_who_is_beaten_on_every_axis_is_off_the_front() -> None:
    figures = [*row_of("best", 0.9, 100, 5), *row_of("worse", 0.8, 200, 6), *row_of("small", 0.7, 300, 1)]
    assert front(figures) == {"best", "small"}
    assert {p.candidate: p.beaten_by for p in pareto(figures)}["worse"] == ("best",)


def test_a_server_without_memory_is_judged_by_what_it_has() -> None:
    figures = [*row_of("local", 0.9, 100, 5), *row_of("url", 0.95, 50), *row_of("slow url", 0.85, 150)]
    placed = {p.candidate: p for p in pareto(figures)}
    assert placed["url"].on_front and placed["local"].on_front
    assert placed["url"].missing == ("memory",)
    assert not placed["slow url"].on_front


def test_equals_share_the_front() -> None:
    assert front([*row_of("a", 0.9, 100), *row_of("b", 0.9, 100)]) == {"a", "b"}


def test_who_has_no_value_is_not_on_the_front() -> None:
    figures = [
        *row_of("a", 0.9, 100),
        headline("b", "accuracy", None, "failed"),
        headline("b", "latency", None, "failed"),
    ]
    assert front(figures) == {"a"}


scores = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8)


@given(scores)
def test_a_front_is_never_empty_and_beats_all_others(rows: list[tuple[int, int, int]]) -> None:
    figures = [f for i, (a, b, c) in enumerate(rows) for f in row_of(str(i), a, b, c)]
    kept = front(figures)
    assert kept
    for placed in pareto(figures):
        assert placed.on_front or set(placed.beaten_by) & kept


def verdict(text: str, *figures: Figure) -> tuple[tuple[str, ...], tuple[str, ...]]:
    (found,) = judge(parse_requirements(text), figures, ["a"])
    assert found.qualifies == (not found.reasons)
    return found.reasons, found.unsure


P95 = headline("a", "latency", 420.0, half=50.0, metric="e2e_p95")
PEAK = headline("a", "memory", 20e9)
ACC = headline("a", "accuracy", 0.82, half=0.01)


def test_a_candidate_that_meets_all_qualifies() -> None:
    assert verdict("p95<500ms,fits=24GB,acc>0.8", P95, PEAK, ACC) == ((), ())


def test_each_condition_that_is_not_met_is_named() -> None:
    reasons, _ = verdict("p95 < 0.4 s, fits=16GB, acc>=85%", P95, PEAK, ACC)
    assert reasons == (
        "p95 < 0.4 s: e2e_p95 is 420 ms",
        "fits=16GB: peak_memory is 20 GB",
        "acc>=85%: aggregate is 0.820",
    )


def test_a_value_whose_interval_crosses_the_limit_is_unsure() -> None:
    assert verdict("p95<450ms", P95) == ((), ("p95<450ms: the interval reaches 470 ms",))


def test_what_has_no_value_meets_nothing() -> None:
    assert verdict("fits=80GB", headline("a", "memory", None, "undefined"))[0] == ("fits=80GB: undefined (no access)",)
    assert verdict("gain>0")[0] == ("gain>0: not measured",)
    assert verdict("acc>0", headline("a", "accuracy", 0.9, "too_few"))[0] == ("acc>0: too few (no access)",)


def test_binary_and_decimal_units_differ() -> None:
    figure = headline("a", "memory", 25e9)
    assert verdict("fits=24GB", figure)[0]
    assert not verdict("fits=24GiB", figure)[0]


def test_no_condition_is_met_by_all() -> None:
    assert verdict("  ") == ((), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p95<<500ms", "cannot read"),
        ("speed<5ms", "nothing is called 'speed'"),
        ("p95<500", "needs a unit of ms"),
        ("acc>5ms", "needs a unit of fraction"),
        ("p95=500ms", "wrong sign"),
        ("fits<24GB", "wrong sign"),
        ("p95<500ms,", "cannot read ''"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_with_a_hint(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parse_requirements(text)
    assert caught.value.hint


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_requirements(text)
    except UserError as error:
        assert error.hint


def test_every_name_finds_a_figure_of_a_real_run(full_run: Callable[[], list[Row]]) -> None:
    figures = compute(full_run())
    for name, subject in SUBJECTS.items():
        limit = {"ms": "1s", "bytes": "1GB", "fraction": "0.1"}[subject.unit]
        (found,) = judge(parse_requirements(f"{name}{'=' if name == 'fits' else '>'}{limit}"), figures, ["a"])
        assert all("not measured" not in reason for reason in found.reasons), name


def test_axes_are_all_placed(full_run: Callable[[], list[Row]]) -> None:
    placed = {p.candidate: p for p in pareto(compute(full_run()))}
    assert set(placed) == {"a", "b", "c"}
    assert not placed["c"].on_front and placed["c"].missing == AXES
