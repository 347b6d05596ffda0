"""What the mock server plans: the same for the same seed, with the mean asked for, and never inside a stall."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.core.errors import UserError
from fourways.load.mock import MockSettings
from fourways.load.mock.script import WorkingTime, script

MS = 1_000_000


def test_without_jitter_each_token_has_its_place() -> None:
    play = script(MockSettings(ttft_ms=100, gap_ms=10), 7, 4)
    assert play.offsets_ns == [100 * MS, 110 * MS, 120 * MS, 130 * MS]
    assert (play.refused, play.breaks_after) == (None, None)


def test_a_slower_request_is_slower_in_all_its_parts() -> None:
    assert script(MockSettings(), 0, 3, factor=2.5).offsets_ns == [250 * MS, 275 * MS, 300 * MS]


@pytest.mark.parametrize("jitter", ["uniform", "lognormal"])
def test_jitter_keeps_the_mean_and_never_goes_back_in_time(jitter: str) -> None:
    settings = MockSettings(jitter=jitter, spread=0.5, seed=3)  # type: ignore[arg-type]  # the parameter is a str
    plays = [script(settings, number, 64).offsets_ns for number in range(400)]
    assert all(a <= b for play in plays for a, b in pairwise(play))
    assert sum(play[0] for play in plays) / 400 == pytest.approx(100 * MS, rel=0.1)
    assert sum((play[-1] - play[0]) / 63 for play in plays) / 400 == pytest.approx(10 * MS, rel=0.02)


@given(st.integers(0, 2**31), st.integers(0, 10**6))
def test_the_fate_of_a_request_hangs_on_seed_and_number_alone(seed: int, number: int) -> None:
    settings = MockSettings(jitter="lognormal", spread=0.3, error_rate=0.3, break_rate=0.3, seed=seed)
    assert script(settings, number, 8) == script(settings, number, 8)


def test_errors_and_breaks_come_as_often_as_asked_for() -> None:
    settings = MockSettings(error_rate=0.2, error_statuses=(429, 503), break_rate=0.1, seed=1)
    plays = [script(settings, number, 16) for number in range(4000)]
    refused = [play.refused for play in plays if play.refused is not None]
    cuts = [play.breaks_after for play in plays if play.breaks_after is not None]
    assert len(refused) / 4000 == pytest.approx(0.2, abs=0.02)
    assert set(refused) == {429, 503}
    assert len(cuts) / 4000 == pytest.approx(0.1, abs=0.02)
    assert set(cuts) == set(range(16))


def test_two_seeds_give_two_fates() -> None:
    one, two = (MockSettings(jitter="uniform", spread=0.5, seed=seed) for seed in (1, 2))
    assert script(one, 0, 8) != script(two, 0, 8)


_STALLS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=4)


@given(_STALLS, st.integers(0, 30), st.integers(0, 30))
def test_work_takes_its_time_outside_of_stalls(stalls: list[tuple[int, int]], start: int, work: int) -> None:
    time = WorkingTime(stalls, 0)
    silent = {second for at, length in stalls for second in range(at, at + length)}
    begin = start
    while begin in silent:
        begin += 1
    end = begin
    for _ in range(work):
        while end in silent:
            end += 1
        end += 1
    while end in silent:
        end += 1
    assert time.after(start * 10**9, work * 10**9) == end * 10**9


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttft_ms": -1.0}, {"gap_ms": float("nan")}, {"tokens": 0}, {"slots": 0}, {"error_rate": 1.5},
        {"error_rate": 0.6, "break_rate": 0.6}, {"error_statuses": (200,)}, {"stalls": ((-1.0, 2.0),)},
        {"adapters": ("mock",)}, {"model": ""}, {"jitter": "uniform", "spread": 1.5}, {"slow_requests": -1},
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError) as caught:
        MockSettings(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.message
