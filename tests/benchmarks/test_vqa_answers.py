from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks.answers.vqa_answers import accuracy, normalize, without_articles, without_punctuation

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/vqa_v2_golden.json").read_text("utf-8"))


def test_the_golden_file_is_whole() -> None:
    assert (len(GOLDEN["normalisation"]), len(GOLDEN["scores"])) == (53, 15)


@pytest.mark.parametrize("case", GOLDEN["normalisation"], ids=lambda case: repr(case["input"]))
def test_normalisation_equals_the_official_program(case: dict[str, str]) -> None:
    assert without_punctuation(case["input"]) == case["punct"]
    assert without_articles(without_punctuation(case["input"])) == case["output"]


@pytest.mark.parametrize("case", GOLDEN["scores"], ids=lambda case: repr(case["prediction"]))
def test_github_accuracy_equals_the_official_program(case: dict[str, Any]) -> None:
    assert round(100 * accuracy(case["prediction"], case["answers"], "github"), 2) == case["accuracy"]


def test_only_the_github_scorer_lets_a_capital_cost_everything() -> None:
    assert accuracy("Yes", ["yes"] * 10, "github") == 0.0
    assert accuracy("Yes", ["yes"] * 10, "always") == 1.0


def test_modes_agree_where_annotators_differ() -> None:
    answers = ["two"] * 6 + ["three"] * 4
    assert accuracy("2.", answers, "github") == accuracy("2.", answers, "always") == 1.0


@pytest.mark.parametrize(("matching", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_consensus_pays_by_how_many_agree(matching: int, score: float) -> None:
    assert accuracy("cat", ["cat"] * matching + ["dog"] * (10 - matching), "always") == pytest.approx(score)


@given(st.text(max_size=60))
def test_any_text_is_normalised_to_words_without_spare_spaces(text: str) -> None:
    out = normalize(text)
    assert out == " ".join(out.split())


@given(st.text(max_size=30), st.lists(st.text(max_size=10), max_size=10))
def test_accuracy_is_a_share_for_any_text(prediction: str, answers: list[str]) -> None:
    for found in (accuracy(prediction, answers, "always"), accuracy(prediction, answers, "github")):
        assert 0 <= found <= 1
