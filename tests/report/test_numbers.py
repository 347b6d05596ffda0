"""A figure is printed with what it rests on, or with the reason why there is none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.core.figure import Figure
from fourways.report.numbers import show

FIGURE = Figure(
    axis="accuracy",
    candidate="a",
    metric="aggregate",
    definition="aggregate@1",
    unit="fraction",
    direction="higher",
    value=0.8724,
    low=0.841,
    high=0.9,
    n=240,
    n_unit="images",
    status="ok",
)


def test_a_share_is_printed_in_percent_with_interval_and_n() -> None:
    shown = show(FIGURE)
    assert (shown.value, shown.interval, shown.n) == ("87.2 %", "84.1 – 90.0", "n = 240 images")


def test_too_small_an_n_prints_as_such_and_not_as_a_number() -> None:
    few = msgspec.structs.replace(FIGURE, status="too_few", n=3, low=None, high=None, reason="3 images are too few")
    assert show(few).value == "n too small: 3 images are too few"
    assert "87" not in show(few).line


@pytest.mark.parametrize("status", ["undefined", "failed"])
def test_what_has_no_value_says_why(status: str) -> None:
    none = msgspec.structs.replace(FIGURE, status=status, value=None, low=None, high=None, n=0, reason="no access")
    assert show(none).line == f"{status}: no access"


def test_an_axis_that_was_not_run_says_so() -> None:
    assert show(None).value == "not run"


def test_value_and_interval_share_one_unit() -> None:
    figure = msgspec.structs.replace(FIGURE, unit="bytes", value=900 * 2**10, low=800 * 2**10, high=1100 * 2**10)
    assert show(figure).value == "0.88 MiB"
    assert show(figure).interval == "0.78 – 1.07"


def test_a_gain_shows_its_sign_and_counts_in_percentage_points() -> None:
    gain = msgspec.structs.replace(FIGURE, metric="gain", value=0.25, low=-0.01, high=0.5)
    assert show(gain).value == "+25.0 pp"
    assert show(gain).interval == "\N{MINUS SIGN}1.0 to +50.0"


def test_a_difference_of_nothing_has_no_sign() -> None:
    pair = msgspec.structs.replace(FIGURE, value=-0.0000001, low=-0.1, high=0.1, labels={"versus": "b"})
    assert show(pair).value == "0.0 pp"


@given(
    st.floats(-1e15, 1e15), st.sampled_from(["fraction", "ms", "bytes", "requests/s", "points of 800", "", "L2 norm"])
)
def test_any_finite_value_can_be_printed(value: float, unit: str) -> None:
    figure = msgspec.structs.replace(FIGURE, unit=unit, value=value, low=value, high=value)
    assert show(figure).value


@pytest.mark.parametrize(
    ("value", "printed"), [(0.99996, "1.00"), (0.9994, "0.999"), (9.998, "10.0"), (99.96, "100"), (1.0, "1.00")]
)
def test_what_rounds_up_to_a_power_of_ten_is_printed_as_that(value: float, printed: str) -> None:
    assert show(msgspec.structs.replace(FIGURE, unit="ratio", value=value, low=None, high=None)).value == printed
