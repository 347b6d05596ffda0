"""Memory over time keeps every stage's highest point, and stays small."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.trace.timeline import MOST_A_STAGE, Timeline, thin

Sizes = st.lists(st.integers(0, 2**40), min_size=1, max_size=2000)


def ticking(step_ns: int = 1_000_000) -> Callable[[], int]:
    """A clock that moves on by a millisecond whenever it is read."""
    now = 0

    def read() -> int:
        nonlocal now
        now += step_ns
        return now

    return read


@settings(deadline=None)
@given(Sizes, st.integers(4, 400))
def test_thinning_keeps_first_last_least_and_greatest(sizes: list[int], most: int) -> None:
    points = [(float(at), size) for at, size in enumerate(sizes)]
    kept = thin(points, most)
    assert len(kept) <= most
    assert set(kept) <= set(points) and kept == sorted(kept)
    assert kept[0] == points[0] and kept[-1] == points[-1]
    assert max(size for _, size in kept) == max(sizes)
    assert min(size for _, size in kept) == min(sizes)


@settings(deadline=None)
@given(st.lists(Sizes, min_size=1, max_size=4))
def test_each_stage_keeps_its_own_peak_whatever_the_others_hold(by_stage: list[list[int]]) -> None:
    timeline = Timeline(ticking())
    for sizes in by_stage:
        with timeline.stage("decode", sizes[0]):
            for size in sizes:
                timeline.put(size)
        timeline.put(2**50)  # between stages nothing is kept
    points, stages = timeline.points(), timeline.stages()
    assert len(points) <= MOST_A_STAGE * len(by_stage)
    for (_, start, end), sizes in zip(stages, by_stage, strict=True):
        assert max(size for at, size in points if start <= at <= end) == max(sizes)


def test_a_stage_of_any_length_holds_few_points_and_its_only_peak() -> None:
    timeline = Timeline(ticking())
    with timeline.stage("train_step", 0):
        for index in range(50_000):
            timeline.put(7 if index == 31_415 else index % 3)
    (held,) = timeline._stages
    assert len(held.points) <= 8192
    assert max(size for _, size in timeline.points()) == 7


def test_time_counts_from_the_restart() -> None:
    timeline = Timeline(ticking())
    timeline.restart()
    with timeline.stage("prefill", 5):
        pass
    assert timeline.stages() == (("prefill", 1.0, 3.0),)
    assert timeline.points() == ((2.0, 5),)


def test_a_stage_that_breaks_off_is_ended() -> None:
    timeline = Timeline(ticking())
    with pytest.raises(RuntimeError), timeline.stage("prefill", 5):
        raise RuntimeError
    assert timeline.stages()[0][2] > timeline.stages()[0][1]
