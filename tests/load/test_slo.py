"""`--slo`, as a person writes it."""

from __future__ import annotations

import pytest

from fourways.core.durations import milliseconds
from fourways.core.errors import UserError
from fourways.core.objective import Objective
from fourways.load.slo import parse_slo


def test_objectives_are_read_in_order_with_their_units() -> None:
    assert parse_slo("ttft_p95=500ms, tpot_p95=50ms,e2e_p99=2s,failures=1%") == (
        Objective("ttft", 0.05, 500),
        Objective("tpot", 0.05, 50),
        Objective("e2e", 0.01, 2000),
        Objective("failures", 0.01),
    )


@pytest.mark.parametrize(
    ("text", "ms"), [("500ms", 500), ("0.5s", 500), (" 2 s ", 2000), (".25s", 250), ("1.ms", 1), ("0ms", 0)]
)
def test_a_time_is_read_with_its_unit(text: str, ms: float) -> None:
    assert milliseconds(text) == milliseconds(text, bare="s") == ms


def test_a_bare_number_has_the_unit_that_its_place_gives_it_or_none() -> None:
    assert (milliseconds("2", bare="ms"), milliseconds("2", bare="s")) == (2, 2000)
    for text in ("2", "", "ms", "-1ms", "1e3ms", "nan", "inf s", "2m"):
        with pytest.raises(ValueError, match="is no time"):
            milliseconds(text)


@pytest.mark.parametrize("text", ["ttft_p95=500ms", "e2e_p99.9=2500ms", "failures=0.5%", "tpot_p50=12.5ms"])
def test_what_it_says_of_itself_is_how_it_is_written(text: str) -> None:
    assert [one.label for one in parse_slo(text)] == [text]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "names no objective"),
        ("ttft=500ms", "'ttft=500ms' is no objective"),
        ("ttft_p95=500", "is no objective"),
        ("ttft_p95=500min", "is no objective"),
        ("p95=500ms", "is no objective"),
        ("ttft_p20=5ms", "p50"),
        ("ttft_p95=0ms", "above 0"),
        ("failures=0%", "between 0 and 100"),
        ("ttft_p95=5ms,ttft_p95=6ms", "ttft_p95 twice"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        parse_slo(text)


def test_an_answer_of_one_token_keeps_an_objective_of_tpot_and_a_failed_one_keeps_none() -> None:
    (objective,) = parse_slo("tpot_p95=50ms")
    assert not objective.missed(10, 10, None, failed=False)
    assert objective.missed(None, None, None, failed=True)
