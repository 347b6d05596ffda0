"""Who is on the front is said with the axes that decide it."""

from __future__ import annotations

import msgspec

from fourways.core.figure import AXES, Axis, Figure
from fourways.figures import Placed, pareto
from fourways.report.result import Headlines, compared
from fourways.report.result import pareto as drawn


def headline(name: str, axis: Axis, value: float | None) -> Figure:
    return Figure(
        axis=axis, candidate=name, metric=axis, definition=f"{axis}@1", unit="fraction", direction="higher",
        value=value, low=None, high=None, n=10, n_unit="images", status="failed" if value is None else "ok",
        reason=None, labels={}, headline=True,
    )  # fmt: skip


def standing(*figures: Figure) -> tuple[tuple[Placed, ...], Headlines]:
    return pareto(figures), {(f.candidate, f.axis): f for f in figures}


def test_an_axis_on_which_all_failed_is_named_and_decides_nothing() -> None:
    placed, cells = standing(
        *(headline(name, axis, None if axis == "memory" else 0.5) for name in "ab" for axis in AXES)
    )
    said = compared(placed, cells)
    assert said.startswith("Compared over accuracy, latency and tuning. No candidate has a value on memory")


def test_a_candidate_that_lacks_an_axis_is_said_not_to_be_compared_on_it() -> None:
    figures = [headline("a", "accuracy", 0.9), headline("a", "memory", 0.5), headline("b", "accuracy", 0.5)]
    placed, cells = standing(*figures, headline("b", "memory", None))
    page = drawn(["a", "b"], cells, placed)
    assert "beaten by a: at least as good on accuracy and better there; not compared on memory (failed)" in page
    assert "everywhere" not in page


def test_neither_a_line_nor_areas_are_spoken_of_where_none_are_drawn() -> None:
    figures = [headline(name, axis, value) for name, value in (("a", 0.9), ("b", 0.5)) for axis in AXES[:2]]
    slower = [msgspec.structs.replace(f, direction="lower") if f.axis == "latency" else f for f in figures]
    better = [msgspec.structs.replace(f, value=1 - (f.value or 0)) if f.axis == "latency" else f for f in slower]
    placed, cells = standing(*better)
    page = drawn(["a", "b"], cells, placed)
    assert "<svg" in page
    assert "dotted line" not in page and "area: memory" not in page
