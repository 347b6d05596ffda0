"""What stands beside the official figures: calibration, a judge's readings, the share of yes, the normalised score."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from importlib import resources
from math import exp, log

import msgspec
import numpy as np
import pytest

from fourways.benchmarks.contract import Metric, MetricPart
from fourways.benchmarks.realworldqa import RealWorldQA
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow, Judged, Row
from fourways.core.run import BenchmarkRecord
from fourways.figures import TEXTS, compute
from fourways.figures.normalised import references
from fourways.figures.published import table


def row(candidate: str, benchmark: str, number: int, right: bool, **more: object) -> AnswerRow:
    made = AnswerRow(
        candidate=candidate, benchmark=benchmark, sample=f"{number:05}", group=str(number), image=f"i{number}",
        category="", question="q", gold=("yes",), reply="r", parsed="yes" if right else "no", score=float(right),
        status="ok", finish_reason="stop", mean_logprob=None, output_tokens=1, visuals=(), prompt_sha256="", seed=0,
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def record(key: str, edition: str = "") -> BenchmarkRecord:
    return BenchmarkRecord(key, key, key, "0", 1, 1, 1, "0", edition)


def one(figures: Sequence[Figure], metric: str, candidate: str = "a", **labels: str) -> Figure:
    (found,) = [
        f for f in figures if (f.metric, f.candidate) == (metric, candidate) and labels.items() <= f.labels.items()
    ]
    return found


# -- calibration ------------------------------------------------------------------------------------------------------


def told(n: int, confidence: float, share: float) -> list[Row]:
    """Answers that all claim the same confidence, of which so many are right."""
    rng = random.Random(n)
    return [row("a", "realworldqa", i, rng.random() < share, mean_logprob=log(confidence)) for i in range(n)]


def test_the_calibration_error_of_one_confidence_is_its_gap() -> None:
    rows = told(400, 0.9, 0.6)
    right = np.mean([r.score for r in rows if isinstance(r, AnswerRow)])
    figures = compute(rows)
    assert one(figures, "ece").value == pytest.approx(0.9 - right)
    assert one(figures, "ece").labels == {"benchmark": "realworldqa", "confidence": "mean token probability"}


def test_the_error_of_an_honest_model_is_chance_and_its_companion_says_so() -> None:
    rng = random.Random(3)
    rows: list[Row] = []
    for i in range(1500):
        sure = 0.2 + 0.75 * rng.random()
        rows.append(row("a", "realworldqa", i, rng.random() < sure, mean_logprob=log(sure)))
    figures = compute(rows)
    ece, companion = one(figures, "ece"), one(figures, "rmsce_debiased")
    assert (ece.value or 0) > 0.025
    assert companion.value == pytest.approx(0, abs=0.015)
    assert (companion.status, companion.low, companion.n) == ("ok", None, 1500)


def test_the_companion_of_the_error_finds_a_gap_that_is_there() -> None:
    assert one(compute(told(400, 0.9, 0.6)), "rmsce_debiased").value == pytest.approx(0.3, abs=0.05)


def test_the_brier_score_is_the_mean_squared_gap() -> None:
    rng = random.Random(0)
    rows = [row("a", "realworldqa", i, rng.random() < 0.6, mean_logprob=-rng.random()) for i in range(200)]
    found = one(compute(rows), "brier")
    assert found.value == pytest.approx(np.mean([(exp(r.mean_logprob or 0) - r.score) ** 2 for r in rows]))
    assert found.low is not None and found.high is not None and found.low < (found.value or 0) < found.high


def test_the_area_is_the_share_of_pairs_in_which_the_right_answer_was_surer() -> None:
    rng = random.Random(1)
    rows = []
    for i in range(120):
        right = rng.random() < 0.5
        rows.append(row("a", "realworldqa", i, right, mean_logprob=-round(rng.random() * (0.7 if right else 1.0), 1)))
    good = [r.mean_logprob or 0.0 for r in rows if r.score]
    bad = [r.mean_logprob or 0.0 for r in rows if not r.score]
    expected = np.mean([(g > b) + 0.5 * (g == b) for g in good for b in bad])
    found = one(compute(rows), "auroc")
    assert found.value == pytest.approx(expected)
    assert found.low is not None and found.high is not None and 0 < found.low < expected < found.high < 1


def test_calibration_without_log_probabilities_is_undefined() -> None:
    figures = compute([row("a", "realworldqa", i, True) for i in range(20)])
    for metric in ("ece", "rmsce_debiased", "brier", "auroc"):
        found = one(figures, metric)
        assert (found.status, found.reason) == ("undefined", "no access: the engine gives no log-probabilities")


def test_where_every_answer_is_right_there_is_nothing_to_rank() -> None:
    found = one(compute([row("a", "realworldqa", i, True, mean_logprob=-0.1) for i in range(20)]), "auroc")
    assert (found.status, found.reason) == ("undefined", "every answer is right")


def test_an_area_of_one_has_no_interval_and_says_why() -> None:
    rows = [row("a", "realworldqa", i, i < 10, mean_logprob=-0.1 if i < 10 else -2.0) for i in range(20)]
    found = one(compute(rows), "auroc")
    assert (found.value, found.low, found.status) == (1.0, None, "too_few")
    assert found.reason == "right and wrong answers do not overlap: no interval"


def test_failed_requests_have_no_confidence_and_missing_ones_are_counted() -> None:
    rows: list[Row] = [*told(30, 0.8, 0.5)]
    rows += [row("a", "realworldqa", 100 + i, False, status="failed", parsed=None) for i in range(5)]
    rows += [row("a", "realworldqa", 200 + i, True) for i in range(3)]
    found = one(compute(rows), "brier")
    assert (found.n, found.reason) == (30, "3 answers came without a confidence")


def test_a_ranked_answer_says_whose_share_its_confidence_is() -> None:
    rows = [row("a", "realworldqa", i, i % 2 == 0, mean_logprob=-0.3, rank_logprobs=(-1.0, -2.0)) for i in range(20)]
    assert one(compute(rows), "ece").labels["confidence"] == "share among the offered"


# -- a judge ----------------------------------------------------------------------------------------------------------


def unread(number: int, judged: Judged | None) -> AnswerRow:
    return row("a", "realworldqa", number, False, parsed=None, status="unparsed", judged=judged)


def test_a_judge_fills_a_companion_and_never_the_official_figure() -> None:
    plain = [row("a", "realworldqa", i, i < 10) for i in range(20)]
    read = [unread(20 + i, Judged("m at URL", "yes", "yes", 1.0)) for i in range(6)]
    lost = [unread(30 + i, Judged("m at URL", "", None, 0.0, error="no answer")) for i in range(2)]
    figures = compute([*plain, *read, *lost])
    assert one(figures, "accuracy", benchmark="realworldqa").value == pytest.approx(10 / 28)
    found = one(figures, "accuracy_judged")
    assert found.value == pytest.approx(16 / 28)
    assert found.labels == {"benchmark": "realworldqa", "judge": "m at URL"}
    assert (found.definition, found.n, found.headline) == ("judged@1", 28, False)
    without = compute([*plain, *(msgspec.structs.replace(r, judged=None) for r in (*read, *lost))])
    official = [f for f in figures if not f.metric.endswith("_judged")]
    assert official == list(without)


def test_a_judge_cannot_change_what_the_rule_read() -> None:
    rows = [row("a", "realworldqa", i, False, judged=Judged("m", "yes", "yes", 1.0)) for i in range(20)]
    assert one(compute(rows), "accuracy_judged").value == 0.0


# -- the share of yes -------------------------------------------------------------------------------------------------


def test_the_share_of_yes_stands_beside_the_true_one() -> None:
    rows = [
        row("a", "mme", i, True, gold=("yes" if i % 2 else "no",), parsed="yes" if i % 4 else "no", category="color",
            group=f"g{i // 2}", image=f"i{i // 2}")
        for i in range(40)
    ]  # fmt: skip
    rows += [row("a", "mme", 40 + i, False, gold=("no",), parsed=None, status="unparsed", group="u", category="color")
             for i in range(2)]  # fmt: skip
    figures = compute(rows)
    assert one(figures, "yes_share", among="replies").value == pytest.approx(30 / 40)
    assert one(figures, "yes_share", among="gold").value == pytest.approx(20 / 42)
    assert one(figures, "yes_share", among="gold").direction == "none"


def test_open_answers_have_no_share_of_yes() -> None:
    rows = [row("a", "realworldqa", i, True, gold=("yes" if i else "3",)) for i in range(20)]
    assert not [f for f in compute(rows) if f.metric == "yes_share"]


def test_a_judge_makes_no_figure_of_a_metric_without_a_denominator(monkeypatch: pytest.MonkeyPatch) -> None:
    part = MetricPart(1.0, ("i", "j"), (0.0, 0.0), (0.0, 0.0))
    monkeypatch.setattr(
        RealWorldQA, "metrics", lambda self, rows: [Metric("f1", "f1@1", "fraction", 1.0, (part,), primary=True)]
    )
    said = Judged("j", "no", "no", 1.0)
    figures = compute([row("a", "realworldqa", i, False, parsed=None, status="unparsed", judged=said) for i in (1, 2)])
    assert one(figures, "f1").reason == "its denominator is 0: no unit counts"
    assert not [f for f in figures if f.metric == "f1_judged"]


# -- the normalised score ---------------------------------------------------------------------------------------------


def real(candidate: str, share: float, n: int = 765) -> list[Row]:
    """Exactly so many right."""
    return [row(candidate, "realworldqa", i, i < round(share * n)) for i in range(n)]


SUITE = (record("realworldqa"),)


def test_the_normalised_score_is_clipped_linear_and_squeezed() -> None:
    reference = next(one for one in references().references if one.benchmark == "realworldqa")
    q1, q3 = reference.q1 / 100, reference.q3 / 100
    for share in (0.3, 0.66, 0.70, 0.9):
        figures = compute(real("a", share), SUITE)
        raw, found = one(figures, "accuracy", benchmark="realworldqa"), one(figures, "normalised")
        assert raw.value is not None and found.value is not None
        u = min(1.0, max(0.0, (raw.value - q1) / (q3 - q1)))
        assert found.value == pytest.approx(1 / (1 + exp(-6 * (u - 0.5))))
        assert 0.0474 < found.value < 0.9527
        assert found.labels["of"] == "accuracy" and found.n == raw.n and not found.headline
        assert found.labels["reference"] == "v1, sha256 4c6344987d86"
        assert found.low is not None and found.high is not None and found.low <= found.value <= found.high


def test_models_beyond_the_quartiles_tie_and_their_raw_values_do_not() -> None:
    figures = compute([*real("a", 0.2), *real("b", 0.4)], SUITE)
    assert one(figures, "normalised").value == one(figures, "normalised", "b").value
    raw = [one(figures, "accuracy", name, benchmark="realworldqa").value for name in ("a", "b")]
    assert raw[0] != raw[1]


def test_the_spread_over_candidates_is_the_same_for_each() -> None:
    figures = compute([*real("a", 0.66), *real("b", 0.69), *real("c", 0.72)], SUITE)
    values = [one(figures, "normalised", name).value for name in "abc"]
    for name in "abc":
        found = one(figures, "normalised_sd", name)
        assert found.value == pytest.approx(np.std([v for v in values if v is not None], ddof=1))
        assert (found.n, found.n_unit) == (3, "candidates")


def test_one_candidate_has_no_spread() -> None:
    assert one(compute(real("a", 0.66), SUITE), "normalised_sd").reason == "needs 2 candidates"


def test_without_a_reference_for_the_data_the_score_is_undefined() -> None:
    small = one(compute(real("a", 0.66, n=80), SUITE), "normalised")
    assert small.status == "undefined"
    assert small.reason == (
        "no reference for this suite: other split: the release with 765 images, and 80 were asked here"
    )
    unsaid = one(compute(real("a", 0.66)), "normalised")
    assert (unsaid.status, unsaid.reason) == ("undefined", "which edition the data is was not said")
    bench = [
        row("a", "mmbench_en", i + turn * 1_000_000, True, gold=("A",), group=str(i), image=f"i{i}")
        for i in range(1164)
        for turn in range(2)
    ]
    found = one(compute(bench, (record("mmbench_en", "dev v1.0"),)), "normalised")
    assert found.status == "undefined"
    assert "other split: test v1.1, and the data here is dev v1.0" in (found.reason or "")


def test_a_part_of_mme_is_not_normalised_by_the_whole() -> None:
    rows = [row("a", "mme", i, True, category="color", group=f"g{i // 2}", image=f"i{i // 2}") for i in range(2000)]
    found = one(compute(rows, (record("mme"),)), "normalised")
    assert "points of 2800, and here points of 200" in (found.reason or "")


def test_the_quartiles_are_those_of_the_published_scores_of_the_models_they_name() -> None:
    for reference in references().references:
        values = {
            score.model: score.value
            for score in table().scores
            if (score.benchmark, score.edition, score.metric)
            == (reference.benchmark, reference.edition, reference.metric)
            and not score.labels
        }
        assert tuple(values) == reference.models
        assert np.percentile([values[name] for name in reference.models], [25, 75]) == pytest.approx(
            [reference.q1, reference.q3], abs=1e-6
        )


def test_the_reference_is_frozen() -> None:
    """Another number is another version: raise `version` in the file, and the definition's, then this digest."""
    data = resources.files("fourways.figures").joinpath("references/normalisation.json").read_bytes()
    assert references().version == 1
    assert hashlib.sha256(data).hexdigest() == "4c6344987d8613c4e1e23452271e624561fc82fd1af542066da13db218bbec08"
    assert hashlib.sha256(data).hexdigest() in TEXTS["normalised@1"]


def test_no_companion_is_a_headline() -> None:
    rows = [*real("a", 0.7), *real("b", 0.6)]
    assert {f.metric for f in compute(rows, SUITE) if f.headline} == {"aggregate"}
