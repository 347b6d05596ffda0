"""Candidates two by two, benchmark by benchmark: against computations of the tests' own."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fourways.benchmarks.contract import Metric, MetricPart
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow, Row
from fourways.figures import compute
from fourways.figures.paired import AGGREGATE_DIFFERENCE, Pair, compare, pair_figures


def row(candidate: str, benchmark: str, number: int, score: float, image: str, **more: object) -> AnswerRow:
    gold = ("yes",) * (10 if benchmark == "vqav2" else 1)
    made = AnswerRow(
        candidate=candidate, benchmark=benchmark, sample=f"{number:05}", group=str(number), image=image, category="",
        question="q", gold=gold, reply="r", parsed="yes" if score else "no", score=score, status="ok",
        finish_reason="stop", mean_logprob=None, output_tokens=1, visuals=(), prompt_sha256="", seed=0,
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def many(candidate: str, benchmark: str, share: float, n: int, per_image: int) -> list[Row]:
    rng = random.Random(f"{candidate} {benchmark}")
    return [
        row(candidate, benchmark, i, float(rng.random() < share), f"{benchmark} {i // per_image}") for i in range(n)
    ]


def differences(figures: tuple[Figure, ...]) -> dict[tuple[str, str, str], Figure]:
    """(first, second, benchmark or "") → figure."""
    return {
        (f.candidate, f.labels["versus"], f.labels.get("benchmark", "")): f for f in figures if "versus" in f.labels
    }


def scores(rows: list[Row]) -> np.ndarray:
    return np.asarray([r.score for r in rows if isinstance(r, AnswerRow)])


def three(n: int = 240, per_image: int = 1) -> dict[tuple[str, str], list[Row]]:
    shares = {"a": 0.8, "b": 0.72, "c": 0.5}
    return {
        (name, key): many(name, key, share, n, per_image) for name, share in shares.items()
        for key in ("vqav2", "realworldqa")
    }  # fmt: skip


def test_every_two_candidates_are_compared_on_the_aggregate_and_on_each_benchmark() -> None:
    found = differences(compute([r for rows in three().values() for r in rows]))
    expected = {
        (first, second, key)
        for first, second in (("a", "b"), ("a", "c"), ("b", "c"))
        for key in ("", "vqav2", "realworldqa")
    }
    assert set(found) == expected
    for (_, _, key), figure in found.items():
        assert figure.metric == ("primary_difference" if key else "aggregate_difference")


def test_a_difference_is_that_of_the_scores_on_each_benchmark() -> None:
    answers = three()
    found = differences(compute([r for rows in answers.values() for r in rows]))
    for first, second in (("a", "b"), ("b", "c")):
        each = []
        for key in ("vqav2", "realworldqa"):
            each.append(float(scores(answers[first, key]).mean() - scores(answers[second, key]).mean()))
            assert found[first, second, key].value == pytest.approx(each[-1])
        assert found[first, second, ""].value == pytest.approx(np.mean(each))


def test_mcnemar_decides_only_where_there_is_one_question_an_image() -> None:
    alone = differences(compute([r for rows in three(per_image=1).values() for r in rows]))
    shared = differences(compute([r for rows in three(per_image=3).values() for r in rows]))
    assert alone["a", "b", "vqav2"].labels["test"] == "exact McNemar"
    assert shared["a", "b", "vqav2"].labels["test"] == "sign flips over images"
    assert alone["a", "b", ""].labels["test"] == "sign flips over images"
    answers = three(per_image=1)
    a, b = scores(answers["a", "vqav2"]), scores(answers["b", "vqav2"])
    only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    exact = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert float(alone["a", "b", "vqav2"].labels["p"]) == pytest.approx(exact, abs=6e-5)


def test_partial_credit_is_no_case_for_mcnemar() -> None:
    rows = [row("a", "vqav2", i, 0.3 * (i % 3), f"i{i}") for i in range(40)]
    rows += [row("b", "vqav2", i, 0.3 * (i % 2), f"i{i}") for i in range(40)]
    assert differences(compute(rows))["a", "b", ""].labels["test"] == "sign flips over images"


def test_sign_flips_are_of_whole_images() -> None:
    """Against flips drawn here, image by image."""
    answers = three(n=120, per_image=4)
    found = differences(compute([r for rows in answers.values() for r in rows]))["a", "b", "vqav2"]
    moved = (scores(answers["a", "vqav2"]) - scores(answers["b", "vqav2"])).reshape(-1, 4).sum(axis=1)
    signs = np.random.default_rng(5).integers(0, 2, size=(40_000, moved.size)) * 2 - 1
    expected = float((np.abs(signs @ moved) >= abs(moved.sum())).mean())
    assert float(found.labels["p"]) == pytest.approx(expected, abs=0.02)


def test_p_values_are_adjusted_over_all_pairs_and_benchmarks_of_the_table() -> None:
    found = differences(compute([r for rows in three().values() for r in rows]))
    raw = {key: float(f.labels["p"].removeprefix("< ")) for key, f in found.items()}
    ordered = sorted(raw, key=lambda key: raw[key])
    running, m = 0.0, len(ordered)
    assert m == 9
    for rank, key in enumerate(ordered):
        running = max(running, min(1.0, (m - rank) * raw[key]))
        shown = found[key].labels["p (Holm)"]
        if not shown.startswith("<") and not found[key].labels["p"].startswith("<"):
            assert float(shown) == pytest.approx(running, abs=2e-3)
        assert found[key].labels["verdict"].endswith(f"ahead of {key[1]}") == (running < 0.05)


def test_one_benchmark_alone_is_compared_once() -> None:
    found = differences(compute([*many("a", "vqav2", 0.9, 100, 1), *many("b", "vqav2", 0.5, 100, 1)]))
    assert set(found) == {("a", "b", "")}


def test_candidates_without_a_sample_in_common_are_not_compared() -> None:
    rows: list[Row] = [row("a", "vqav2", i, 1.0, f"i{i}") for i in range(20)]
    rows += [row("b", "vqav2", i, 1.0, f"i{i}") for i in range(20, 40)]
    found = differences(compute(rows))["a", "b", ""]
    assert (found.status, found.value, found.reason) == ("undefined", None, "no samples in common")


def test_a_benchmark_that_one_candidate_lacks_is_compared_among_the_others() -> None:
    answers = three()
    del answers["c", "vqav2"]
    found = differences(compute([r for rows in answers.values() for r in rows]))
    assert ("a", "b", "") in found and ("a", "c", "realworldqa") in found
    assert ("a", "c", "vqav2") not in found and ("a", "c", "") not in found


def test_too_few_images_separate_nobody_and_cost_the_others_nothing() -> None:
    few = [row("a", "realworldqa", i, 1.0, f"r{i}") for i in range(6)]
    few += [row("b", "realworldqa", i, 0.0, f"r{i}") for i in range(6)]
    rows = [*many("a", "vqav2", 0.9, 200, 1), *many("b", "vqav2", 0.7, 200, 1), *few]
    found = differences(compute(rows))
    assert found["a", "b", "realworldqa"].status == "too_few"
    assert found["a", "b", "realworldqa"].labels["verdict"] == "not separated (6 images are too few to tell)"
    assert "p (Holm)" not in found["a", "b", "realworldqa"].labels


def test_mme_differs_in_points_and_shares_in_percentage_points() -> None:
    rows = [
        row(c, "mme", i, float((i + k) % 7 > 0), f"i{i // 2}", category="color", group=f"g{i // 2}")
        for c, k in (("a", 1), ("b", 2)) for i in range(80)
    ]  # fmt: skip
    rows += [r for r in many("a", "vqav2", 0.8, 80, 1) + many("b", "vqav2", 0.7, 80, 1) if isinstance(r, AnswerRow)]
    found = differences(compute(rows))
    assert found["a", "b", "mme"].unit == "points of 200"
    assert found["a", "b", "mme"].labels["sees"].endswith(" points")
    assert found["a", "b", "vqav2"].labels["sees"].endswith(" pp")


def test_what_one_point_needs_follows_from_what_this_n_sees() -> None:
    found = differences(compute([r for rows in three().values() for r in rows]))["a", "b", "vqav2"]
    answers = three()
    moved = scores(answers["a", "vqav2"]) - scores(answers["b", "vqav2"])
    needed = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 * moved.var() / 0.01**2
    said = int(found.labels["1 pp needs"].removeprefix("about ").removesuffix(" images").replace(",", ""))
    assert said == pytest.approx(needed, rel=0.02)


def test_ratios_that_differ_in_their_denominators_add_up_to_their_difference() -> None:
    """F1 of two candidates: what images add, centred, sums to the difference, and its test is of images."""
    rng = np.random.default_rng(0)
    clusters = tuple(f"i{i // 2}" for i in range(120))

    def f1(hits: np.ndarray, wrong: np.ndarray) -> Metric:
        part = MetricPart(1.0, clusters, tuple(2 * hits), tuple(2 * hits + wrong))
        return Metric("f1", "f1@1", "fraction", 1.0, (part,), primary=True)

    first = f1(rng.integers(0, 2, 120).astype(float), rng.integers(0, 2, 120).astype(float))
    second = f1(rng.integers(0, 2, 120).astype(float), rng.integers(0, 2, 120).astype(float))
    found = compare(first, second, seed=0)
    values = [sum(m.parts[0].values) / sum(m.parts[0].weights or ()) for m in (first, second)]
    assert found.estimate.value == pytest.approx(values[0] - values[1])
    assert found.estimate.interval is not None and found.estimate.interval.contains(found.estimate.value)
    assert found.test == "sign flips over images" and found.estimate.n == 60


def test_a_metric_of_which_less_is_better_names_the_smaller_as_ahead() -> None:
    clusters = tuple(f"i{i}" for i in range(60))
    low, high = (
        Metric("e", "e@1", "fraction", 1.0, (MetricPart(1.0, clusters, (v,) * 60),), primary=True, direction="lower")
        for v in (0.0, 1.0)
    )
    (found,) = pair_figures([Pair(AGGREGATE_DIFFERENCE, "a", "b", (low, high), {})])
    assert found.labels["verdict"] == "a is ahead of b"


SCORE = st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0])


@settings(max_examples=60, deadline=None)
@given(
    answers=st.lists(st.tuples(SCORE, SCORE, st.integers(0, 12)), min_size=1, max_size=60),
    lost=st.sets(st.integers(0, 59), max_size=10),
    confidences=st.lists(st.one_of(st.none(), st.floats(-50, 0)), min_size=1, max_size=5),
    shuffle=st.randoms(use_true_random=False),
)
def test_no_figure_is_ever_nan_and_order_decides_nothing(
    answers: list[tuple[float, float, int]],
    lost: set[int],
    confidences: list[float | None],
    shuffle: random.Random,
) -> None:
    rows: list[AnswerRow] = []
    for i, (first, second, image) in enumerate(answers):
        for name, score in (("a", first), ("b", second)):
            failed = name == "b" and i in lost
            rows.append(
                row(
                    name, ("vqav2", "realworldqa")[i % 2], i, 0.0 if failed else score, f"i{image}",
                    status="failed" if failed else "ok", parsed=None if failed else "yes",
                    mean_logprob=confidences[i % len(confidences)],
                )
            )  # fmt: skip
    figures = compute(rows)
    for figure in figures:
        for number in (figure.value, figure.low, figure.high):
            assert number is None or np.isfinite(number)
        assert "nan" not in " ".join(figure.labels.values()).lower()
        assert figure.status == "ok" or figure.reason
    again = rows.copy()
    shuffle.shuffle(again)
    in_order = sorted(again, key=lambda r: r.candidate)
    assert compute(in_order) == figures


def test_a_thousand_comparisons_can_still_separate_what_is_clearly_apart() -> None:
    """46 candidates, two questions an image: 1,035 pairs, which 9,999 flips alone could never separate."""
    clusters = tuple(f"i{i // 2}" for i in range(400))
    metrics = [
        Metric("m", "m@1", "fraction", 1.0, (MetricPart(1.0, clusters, (value,) * 400),), primary=True)
        for value in np.linspace(0, 1, 46)
    ]
    pairs = [
        Pair(AGGREGATE_DIFFERENCE, f"{i}", f"{j}", (metrics[i], metrics[j]), {}) for i, j in pairwise(range(46))
    ] + [Pair(AGGREGATE_DIFFERENCE, "0", "45", (metrics[0], metrics[45]), {}) for _ in range(1000)]
    found = list(pair_figures(pairs))
    assert found[-1].labels["verdict"] == "45 is ahead of 0"


def test_a_sum_with_a_part_of_one_image_is_not_tested_and_says_why() -> None:
    rows: list[Row] = [
        row(c, "mme", i, float((i + k) % 3 > 0), f"i{i // 2}", category="color", group=f"g{i // 2}")
        for c, k in (("a", 0), ("b", 1)) for i in range(60)
    ]  # fmt: skip
    rows += [row(c, "mme", 100 + i, 1.0, "alone", category="count", group="one") for c in "ab" for i in range(2)]
    found = differences(compute(rows))["a", "b", ""]
    assert found.status == "too_few"
    assert found.labels["verdict"] == "not separated (a part of it rests on a single image)"


def test_a_difference_that_is_the_same_everywhere_is_not_called_the_same_answers() -> None:
    rows = [row(c, "vqav2", i, s, f"i{i}") for c, s in (("a", 1.0), ("b", 0.6)) for i in range(30)]
    found = differences(compute(rows))["a", "b", ""]
    assert found.value == pytest.approx(0.4)
    assert found.labels["verdict"] == "a is ahead of b"
