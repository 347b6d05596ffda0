from __future__ import annotations

import random
import re
from collections.abc import Callable

import msgspec
import pytest

from fourways.core.events import VisualGeometry
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow, FailureRow, Row
from fourways.figures import DEFINITIONS, TEXTS, compute


def row(candidate: str, benchmark: str, number: int, right: bool, *, image: str = "", **more: object) -> AnswerRow:
    gold: tuple[str, ...] = ("yes",) * 10 if benchmark == "vqav2" else ("yes",)
    reply = "yes" if right else "no"
    made = AnswerRow(
        candidate=candidate, benchmark=benchmark, sample=str(number), group=str(number), image=image or f"i{number}",
        category="", question="q", gold=gold, reply=reply, parsed=reply, score=float(right), status="ok",
        finish_reason="stop", mean_logprob=None, output_tokens=1, visuals=(), prompt_sha256="", seed=0,
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def many(candidate: str, benchmark: str, share: float, n: int = 60, seed: int = 0) -> list[Row]:
    rng = random.Random(f"{candidate} {benchmark} {seed}")
    return [row(candidate, benchmark, i, rng.random() < share, image=f"{benchmark}{i // 2}") for i in range(n)]


def one(figures: tuple[Figure, ...], metric: str, candidate: str = "a", **labels: str) -> Figure:
    (found,) = [
        f for f in figures if (f.metric, f.candidate) == (metric, candidate) and labels.items() <= f.labels.items()
    ]
    return found


def test_each_candidate_has_one_headline() -> None:
    figures = compute([*many("a", "vqav2", 0.8), *many("b", "vqav2", 0.6)])
    assert [(f.candidate, f.metric) for f in figures if f.headline] == [("a", "aggregate"), ("b", "aggregate")]


def test_the_aggregate_is_the_mean_of_primary_over_maximum() -> None:
    figures = compute([*many("a", "vqav2", 0.9), *many("a", "realworldqa", 0.3)])
    parts = [one(figures, "accuracy", benchmark=key) for key in ("vqav2", "realworldqa")]
    assert one(figures, "aggregate").value == pytest.approx(sum(p.value or 0 for p in parts) / 2)
    assert one(figures, "aggregate").n == 60


def test_an_interval_is_wider_when_questions_share_an_image() -> None:
    alone = [row("a", "vqav2", i, i % 4 != 0) for i in range(80)]
    shared = [row("b", "vqav2", i, i // 4 % 4 != 0, image=f"i{i // 4}") for i in range(80)]
    figures = compute([*alone, *shared])
    a, b = one(figures, "accuracy", "a"), one(figures, "accuracy", "b")
    assert a.value == b.value and (a.n, b.n) == (80, 20)
    assert (b.high or 0) - (b.low or 0) > 1.5 * ((a.high or 0) - (a.low or 0))


def test_failed_and_unparsed_rows_count_as_wrong_and_are_shown() -> None:
    rows: list[Row] = [row("a", "vqav2", i, True) for i in range(20)]
    rows += [row("a", "vqav2", 20 + i, False, status="failed", parsed=None) for i in range(4)]
    rows.append(row("a", "vqav2", 30, False, status="unparsed", parsed=None))
    figures = compute(rows)
    assert one(figures, "accuracy").value == pytest.approx(20 / 25)
    assert one(figures, "failed").value == pytest.approx(4 / 25)
    assert one(figures, "unparsed").value == pytest.approx(1 / 25)


def test_few_images_are_said_to_be_too_few() -> None:
    figures = compute([row("a", "vqav2", i, True) for i in range(9)])
    found = one(figures, "accuracy")
    assert (found.status, found.reason) == ("too_few", "fewer than 10 images")
    assert one(figures, "aggregate").status == "too_few"


def test_everything_right_still_has_an_interval() -> None:
    figures = compute([row("a", key, i, True) for key in ("vqav2", "realworldqa") for i in range(30)])
    found = one(figures, "aggregate")
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None and 0.8 < found.low < 0.95


def test_a_lost_axis_and_a_lost_benchmark_say_why() -> None:
    rows: list[Row] = [*many("a", "vqav2", 0.8), *many("a", "realworldqa", 0.8), *many("b", "vqav2", 0.8)]
    rows.append(FailureRow("b", "accuracy", "benchmark", "realworldqa", "no such file"))
    rows.append(FailureRow("c", "accuracy", "axis", "", "no access: the engine cannot generate", status="undefined"))
    figures = compute(rows)
    assert one(figures, "accuracy", "b", benchmark="realworldqa").reason == "no such file"
    b, c = one(figures, "aggregate", "b"), one(figures, "aggregate", "c")
    assert (b.status, b.value, b.reason) == ("failed", None, "no figure for realworldqa")
    assert (c.status, c.value, c.reason) == ("undefined", None, "no access: the engine cannot generate")
    assert b.headline and c.headline


def test_a_benchmark_that_could_not_be_asked_leaves_the_aggregate_undefined() -> None:
    rows: list[Row] = many("a", "vqav2", 0.8)
    rows.append(FailureRow("a", "accuracy", "benchmark", "refcoco", "no access: no size", status="undefined"))
    figures = compute(rows)
    assert one(figures, "acc@0.5").reason == "no access: no size"
    assert (one(figures, "aggregate").status, one(figures, "aggregate").reason) == (
        "undefined",
        "no figure for refcoco",
    )


def test_answers_that_are_not_public_have_no_figure() -> None:
    figures = compute([row("a", "vqav2", i, True, gold=()) for i in range(20)])
    assert one(figures, "accuracy").reason == "the answers are not public"
    assert one(figures, "aggregate").reason == "no benchmark has public answers"


def test_a_benchmark_without_public_answers_is_in_no_aggregate() -> None:
    rows = [*many("a", "vqav2", 0.8), *(row("a", "realworldqa", i, True, gold=()) for i in range(20))]
    assert one(compute(rows), "aggregate").value == one(compute(many("a", "vqav2", 0.8)), "aggregate").value


def test_an_unknown_benchmark_is_undefined_not_a_crash() -> None:
    assert one(compute([row("a", "mmmu", 0, True)]), "mmmu").reason == "no benchmark 'mmmu' is known here"


def test_the_same_rows_give_the_same_figures_in_any_order() -> None:
    rows = [*many("a", "vqav2", 0.8), *many("b", "vqav2", 0.7), *many("a", "realworldqa", 0.5)]
    shuffled = random.Random(1).sample(rows, len(rows))
    by_key = [
        {(f.candidate, f.metric, tuple(f.labels.items())[:1]): f.value for f in compute(r)} for r in (rows, shuffled)
    ]
    for key, value in by_key[0].items():
        if key[1] != "aggregate_difference":
            assert by_key[1][key] == pytest.approx(value)
    assert compute(rows) == compute(list(rows))


def test_a_clear_difference_is_named_and_a_small_one_is_not() -> None:
    figures = compute([*many("a", "vqav2", 0.95, 200), *many("b", "vqav2", 0.6, 200), *many("c", "vqav2", 0.94, 200)])
    clear, close = (
        one(figures, "aggregate_difference", "a", versus="b"),
        one(figures, "aggregate_difference", "a", versus="c"),
    )
    assert clear.labels["verdict"] == "a is ahead of b"
    assert (clear.low or 0) > 0
    assert re.fullmatch(r"not separated \(this n sees differences of \d\.\d pp or more\)", close.labels["verdict"])
    assert close.low is not None and close.high is not None and close.low < 0 < close.high


def test_identical_answers_are_not_called_equal() -> None:
    rows = [*many("a", "vqav2", 0.8)]
    rows += [msgspec.structs.replace(r, candidate="b") for r in rows if isinstance(r, AnswerRow)]
    found = one(compute(rows), "aggregate_difference")
    assert (found.value, found.labels["verdict"]) == (0.0, "not separated (every answer scored the same)")


def test_only_samples_that_both_were_asked_are_compared() -> None:
    first: list[Row] = [row("a", "vqav2", i, i >= 30) for i in range(60)]
    second: list[Row] = [row("b", "vqav2", i, True) for i in range(30, 90)]
    found = one(compute([*first, *second]), "aggregate_difference")
    assert (found.value, found.n) == (0.0, 30)


def test_pairing_sees_what_two_intervals_cannot() -> None:
    """b is wrong wherever a is, and on a few more: their intervals overlap, their difference is clear."""
    rows: list[Row] = []
    for i in range(300):
        rows.append(row("a", "vqav2", i, i % 3 != 0))
        rows.append(row("b", "vqav2", i, i % 3 != 0 and i % 20 != 1))
    figures = compute(rows)
    a, b = one(figures, "accuracy", "a"), one(figures, "accuracy", "b")
    assert (a.low or 0) < (b.high or 0)
    assert one(figures, "aggregate_difference").labels["verdict"] == "a is ahead of b"


def test_every_figure_has_a_definition_with_a_text(full_run: Callable[[], list[Row]]) -> None:
    for figure in compute(full_run()):
        assert figure.definition in DEFINITIONS.values()
        assert "Interval: " in TEXTS[figure.definition]
        assert len(TEXTS[figure.definition]) > 40


@pytest.mark.parametrize(
    ("key", "metric"),
    [("choice:mine", "accuracy"), ("yes_no:mine", "accuracy"), ("open:mine", "exact"), ("mmstar@rank", "accuracy")],
)
def test_a_table_of_ones_own_has_figures_with_texts(key: str, metric: str) -> None:
    rows = [row("a", key, i, i % 3 > 0, mean_logprob=-0.1) for i in range(30)]
    figures = compute(rows)
    assert one(figures, metric, benchmark=key).value == pytest.approx(20 / 30)
    assert all(figure.definition in TEXTS for figure in figures)


def test_values_and_status_agree(full_run: Callable[[], list[Row]]) -> None:
    for figure in compute(full_run()):
        assert (figure.value is None) == (figure.status in ("undefined", "failed"))
        assert figure.status == "ok" or figure.reason
        if figure.status == "ok" and "Interval: none" not in TEXTS.get(figure.definition, ""):
            assert figure.value is not None and figure.low is not None and figure.high is not None
            if figure.metric == "ece":
                continue  # its interval is of what is left without the upward bias, and may lie below it
            assert figure.low - 1e-9 <= figure.value <= figure.high + 1e-9


def test_a_sum_over_parts_says_nothing_where_a_part_has_one_image() -> None:
    """Two subtasks of MME, one of them with a single image: how far that one may be off, nobody can tell."""
    rows = [row("a", "mme", i, i % 3 > 0, group=f"g{i // 2}", image=f"i{i // 2}", category="color") for i in range(40)]
    alone = [row("a", "mme", 100 + i, True, group="g", image="one", category="count") for i in range(2)]
    figures = compute([*rows, *alone])
    found = one(figures, "mme_sum")
    assert (found.status, found.low, found.reason) == ("too_few", None, "a part of it rests on a single image")
    assert one(compute(rows), "mme_sum").status == "ok"


def test_a_candidates_name_decides_no_interval(full_run: Callable[[], list[Row]]) -> None:
    names = {"a": "something-else", "b": "x", "c": "y"}
    rows = full_run()
    again = [msgspec.structs.replace(row, candidate=names[row.candidate]) for row in rows]
    for one, other in zip(compute(rows), compute(again), strict=True):
        assert (one.metric, one.value, one.low, one.high) == (other.metric, other.value, other.low, other.high)


def test_no_figure_hangs_on_words_that_no_metric_needs() -> None:
    keys = ("mme", "mmbench_en", "vqav2", "realworldqa", "pope")
    rows = [one for key in keys for one in many("a", key, 0.7)]
    seen = VisualGeometry((4, 4), (4, 4), 1, 4, cached=False)
    other = [
        msgspec.structs.replace(one, question="another", visuals=(seen,), prompt_sha256="1" * 64)
        for one in rows
        if isinstance(one, AnswerRow)
    ]
    assert compute(rows) == compute(other)
