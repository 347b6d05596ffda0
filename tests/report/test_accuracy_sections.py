"""The sections about accuracy say what the figures and rows hold, and what they do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow, Row
from fourways.core.run import RunHeader
from fourways.core.run_files import ROWS_FILE, read_header, read_rows, read_summary
from fourways.figures.normalised import reference_label
from fourways.figures.published import AgainstPublished
from fourways.report import accuracy, breakdown, budget, calibration, pairs, published, unread, write_report, yes_no
from fourways.report.answers import Answers, board
from fourways.report.choice import choose, choose_unread
from fourways.report.facts import collect
from fourways.report.gathered import gather
from fourways.report.material import Material
from fourways.report.pictures import Pictures
from fourways.report.required import clauses_of, required
from fourways.stats import calibration_error

NATIVE, STARVED, SERVER = "Qwen2.5-VL-7B@native", "Qwen2.5-VL-7B@64", "far-away-server"
MakeRun = Callable[[Path, list[Row], RunHeader], Path]


def material(run: Path) -> Material:
    facts = collect(read_rows(run / ROWS_FILE))
    header = read_header(run)
    gathered = gather(read_rows(run / ROWS_FILE), choose(facts.answers), choose_unread(facts.answers))
    names = [record.candidate.name for record in header.candidates]
    return Material(header, read_summary(run).figures, facts, gathered, names, Pictures(None))


@pytest.fixture(scope="module")
def m(judged_run: Path) -> Material:
    return material(judged_run)


def text(page: str | None) -> str:
    """What a reader sees, with one space between words."""
    assert page is not None
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).strip()


def figure(candidate: str = NATIVE, metric: str = "accuracy", value: float | None = 0.5, **changes: Any) -> Figure:
    made = Figure(
        axis="accuracy", candidate=candidate, metric=metric, definition=f"{metric}@1", unit="fraction",
        direction="higher", value=value, low=0.4, high=0.6, n=50, n_unit="images", status="ok",
        labels={"benchmark": "mme"},
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def with_figures(m: Material, *figures: Figure) -> Material:
    return Material(m.header, figures, m.facts, m.gathered, m.names, m.pictures)


# -- the table --------------------------------------------------------------------------------------------------------


def test_every_benchmark_has_a_line_with_every_candidates_value_interval_and_n(m: Material) -> None:
    said = text(accuracy.section(m))
    for (name, key), held in m.primaries.items():
        assert held.value is not None and m.title(key) in said, name
    assert len(m.primaries) == 18
    assert "mean of the benchmarks below" in said and "count as wrong" in said


def test_a_benchmark_that_failed_stands_with_its_reason(m: Material) -> None:
    lost = figure(value=None, low=None, high=None, n=0, status="failed", reason="out of memory")
    assert "failed: out of memory" in text(accuracy.section(with_figures(m, lost, figure(STARVED))))


def test_the_normalised_score_has_the_raw_value_beside_it_and_a_warning_about_ties(m: Material) -> None:
    labels = {
        "benchmark": "mme",
        "of": "mme_sum",
        "edition": "whole release",
        "reference": reference_label(),
    }
    score = figure(metric="normalised", unit="score", value=0.953, labels=labels)
    spread = figure(metric="normalised_sd", unit="score", value=0.21, low=None, high=None, labels=labels)
    said = text(accuracy.section(with_figures(m, figure(value=0.7), score, spread)))
    assert "0.953" in said and "raw 70.0 %" in said
    assert "tied with all others there, by construction" in said
    assert re.search(r"of mme sum whole release, reference v\d+, sha256 [0-9a-f]{12} standard", said)
    assert "standard deviation 0.210" in said


def test_the_count_of_figures_is_of_those_that_are_shown(m: Material) -> None:
    pair = figure(metric="primary_difference", labels={"benchmark": "mme", "versus": "b"})
    every = accuracy.every("accuracy", [figure(), figure(metric="failed"), pair], m.names)
    assert "All 2 figures of this axis" in every and every.count("<tr>") == 3


def test_no_normalised_score_is_spoken_of_where_there_is_none(m: Material) -> None:
    undefined = figure(metric="normalised", value=None, status="undefined", reason="no reference")
    assert "Normalised" not in text(accuracy.section(with_figures(m, figure(), undefined)).partition("<details>")[0])


def test_a_category_with_too_few_samples_says_so_in_place_of_a_number(m: Material) -> None:
    labels = {"benchmark": "mme", "category": "count"}
    few = figure(labels=labels, status="too_few", reason="fewer than 10 images", n=4)
    said = text("".join(breakdown.breakdown(m, [few])))
    assert "count" in said and "n too small: fewer than 10 images" in said and "50.0 %" not in said


def test_the_shade_of_a_category_follows_its_share_of_the_best_value() -> None:
    assert breakdown.shade(figure(value=0.0)) == 0
    assert breakdown.shade(figure(value=1.0)) == breakdown.STEPS
    assert breakdown.shade(figure(value=100.0, unit="points of 200")) == breakdown.STEPS // 2
    assert breakdown.shade(figure(value=0.0, direction="lower")) == breakdown.STEPS


# -- pairs ------------------------------------------------------------------------------------------------------------


def difference(verdict: str, value: float | None = 0.1, **labels: str) -> Figure:
    held = {"versus": STARVED, "verdict": verdict, **labels}
    return figure(metric="aggregate_difference", value=value, low=0.05, high=0.15, direction="none", labels=held)


def test_a_difference_seen_from_the_other_side_has_the_other_sign() -> None:
    seen = pairs.turned(difference(f"{NATIVE} is ahead of {STARVED}"))
    assert (seen.candidate, seen.labels["versus"]) == (STARVED, NATIVE)
    assert (seen.value, seen.low, seen.high) == (-0.1, -0.15, -0.05)
    assert pairs.standing(seen) == "behind"


def test_who_is_not_separated_is_told_what_could_have_been_seen_and_never_called_equal(m: Material) -> None:
    verdict = "not separated (this n sees differences of 17.2 pp or more)"
    said = text(pairs.section(with_figures(m, difference(verdict))))
    assert said.count("not separated; sees 17.2 pp or more") == 2
    assert "Not separated." in said
    assert "equal" not in said


def test_a_name_that_begins_like_another_is_not_taken_for_it() -> None:
    seen = msgspec.structs.replace(difference("a is ahead of ab", versus="ab"), candidate="a")
    assert pairs.standing(seen) == "ahead"
    assert (
        pairs.standing(msgspec.structs.replace(seen, labels={**seen.labels, "verdict": "ab is ahead of a"})) == "behind"
    )


def test_benchmarks_on_which_a_pair_is_separated_are_counted(m: Material) -> None:
    ahead, behind = f"{NATIVE} is ahead of {STARVED}", f"{STARVED} is ahead of {NATIVE}"
    found = [
        difference(verdict, benchmark=key, of="accuracy")
        for key, verdict in (("mme", ahead), ("vqav2", ahead), ("refcoco", behind), ("mmbench_en", "not separated (x)"))
    ]
    said = text(pairs.section(with_figures(m, *found)))
    assert said.count("ahead on 2") == said.count("behind on 2") == 1
    assert said.count("not separated on 1") == 2
    assert "MME: 1 of 1 pairs separated" in said


def test_one_candidate_is_compared_with_nobody(m: Material) -> None:
    assert pairs.section(with_figures(m, figure())) is None


# -- unread -----------------------------------------------------------------------------------------------------------


def test_unread_replies_are_counted_and_said_to_be_wrong(m: Material, judged_run: Path) -> None:
    said = text(unread.section(m))
    assert "They count as wrong" in said
    for name in (NATIVE, SERVER):
        for key in m.benchmarks:
            lost = sum(
                isinstance(r, AnswerRow) and (r.candidate, r.benchmark, r.status) == (name, key, "unparsed")
                for r in read_rows(judged_run / ROWS_FILE)
            )
            assert f"{lost} unreadable of 120" in said


def test_a_reply_is_shown_as_text_whatever_it_holds(m: Material) -> None:
    page = unread.section(m)
    assert page is not None
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script" not in page
    assert "&lt;/bdi&gt;&lt;/script&gt;&lt;h1&gt;you win" in page
    assert not re.search("[\x00\x1b\u202e\u2066\u200b]", page)
    assert "[U+0000][U+001B][31m[U+2066][U+200B]" in page
    assert "(2,400 characters)" in page


def test_a_judges_reading_stands_beside_and_is_said_not_to_count(m: Material) -> None:
    said = text(unread.section(m))
    assert "the official figure excludes it" in said
    assert "Judge: a-judge at http://localhost:9." in said
    judged = next(f for f in m.figures if f.metric.endswith("_judged") and f.labels["benchmark"] == "mmbench_en")
    official = m.primaries[SERVER, "mmbench_en"]
    assert judged.value is not None and official.value is not None and judged.value >= official.value
    assert f"official {100 * official.value:.1f} %" in said
    assert "not counted) in its words: It says B." in said


def test_a_run_whose_replies_could_all_be_read_says_so(
    tmp_path: Path, made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun
) -> None:
    read = [row for row in made_up_rows if isinstance(row, AnswerRow) and row.status == "ok"]
    said = text(unread.section(material(make_run(tmp_path / "read", list(read), made_up_header))))
    assert said == "Every reply could be read, and no request failed."


# -- yes and no, calibration, budget ----------------------------------------------------------------------------------


def test_the_share_of_yes_stands_beside_that_of_the_gold_answers(m: Material) -> None:
    page = yes_no.section(m)
    assert page is not None
    assert page.count("<figure") == 1
    assert "MME" in page and "gold 50.0 %" in text(page)
    assert page.count('class="reference"') == 3


def test_without_a_yes_or_no_benchmark_there_is_no_such_section(m: Material) -> None:
    assert yes_no.section(with_figures(m, figure())) is None


def test_the_bins_of_the_diagram_are_those_of_the_published_ece(m: Material) -> None:
    told = calibration._told(m, NATIVE, "vqav2")
    assert told is not None
    found = calibration.bins(told)
    assert sum(one.n for one in found) == 120
    gap = sum(one.n * abs(one.right - one.sure) for one in found) / 120
    assert gap == pytest.approx(calibration_error(told.confidences, told.scores))
    ece = next(f for f in m.figures if (f.candidate, f.metric, f.labels.get("benchmark")) == (NATIVE, "ece", "vqav2"))
    assert gap == pytest.approx(ece.value, abs=1e-6)


def test_all_benchmarks_together_have_a_diagram_for_each_candidate(m: Material) -> None:
    page = calibration.section(m)
    assert page is not None
    assert page.partition("<details")[0].count("<figure") == 3
    assert page.count("<figure") == 3 + 18
    assert "n = 48" in page


def test_answers_without_a_confidence_have_no_diagram(
    tmp_path: Path, made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun
) -> None:
    silent = [msgspec.structs.replace(r, mean_logprob=None) for r in made_up_rows if isinstance(r, AnswerRow)]
    assert calibration.section(material(make_run(tmp_path / "silent", list(silent), made_up_header))) is None


def test_candidates_that_differ_in_their_budget_alone_are_drawn_over_the_tokens_they_used(m: Material) -> None:
    assert budget.families(m.header.candidates) == [[NATIVE, STARVED]]
    said = text(budget.section(m))
    assert "the model&#x27;s own 16.0" in said and "at most 64 8.0" in said
    assert SERVER not in said.partition("All benchmarks")[2]


def test_candidates_that_differ_in_more_are_not_joined(m: Material) -> None:
    first, second = m.header.candidates[:2]
    other = msgspec.structs.replace(second, candidate=msgspec.structs.replace(second.candidate, dtype="bfloat16"))
    assert budget.families([first, other]) == []


def test_budgets_that_changed_nothing_are_said_to_have_changed_nothing(
    tmp_path: Path, m: Material, judged_run: Path, make_run: MakeRun
) -> None:
    native = [r for r in read_rows(judged_run / ROWS_FILE) if r.candidate == NATIVE]
    alike = [*native, *(msgspec.structs.replace(row, candidate=STARVED) for row in native)]
    said = text(budget.section(material(make_run(tmp_path / "alike", alike, m.header))))
    assert "every budget was wide enough for the pictures of this run" in said


# -- published, required ----------------------------------------------------------------------------------------------


def test_published_scores_stand_beside_the_measured_with_their_source(m: Material) -> None:
    found = [
        AgainstPublished(
            NATIVE, "mme", "mme_sum", "whole release", 2347.0, "points", "A <b>report</b>", "https://example.org/r",
            m.primaries[NATIVE, "mme"], verdict, words,
        )
        for verdict, words in (("differs", "differs by 12 points"), ("not_comparable", "not comparable (other split)"))
    ]  # fmt: skip
    page = published.beside(m, found)
    said = text(page)
    assert "<b>report" not in page and "href" not in page
    assert "2,347 points" in said and "differs by 12 points" in said and "https://example.org/r" in said
    assert said.index("1 published values that cannot be compared") > said.index("differs by 12 points")


def test_a_run_of_a_known_model_has_what_was_published_of_it_and_another_has_none(m: Material) -> None:
    said = text(published.section(m))
    assert "Qwen2.5-VL-7B@native" in said and "far-away-server" not in said
    server = msgspec.structs.replace(m.header, candidates=m.header.candidates[2:])
    assert published.section(Material(server, m.figures, m.facts, m.gathered, m.names, m.pictures)) is None


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (("compare", "--require", "acc>0.8,p95<500ms"), ["acc>0.8", "p95<500ms"]),
        (("compare", "--require=acc>0.8"), ["acc>0.8"]),
        (("compare", "--require", "acc>0.1", "--require", "acc>0.9"), ["acc>0.9"]),
        (("compare", "--require", "nonsense"), []),
        (("compare", "--require"), []),
        (("compare",), []),
    ],
)
def test_the_conditions_are_those_of_the_command_line(argv: tuple[str, ...], found: list[str]) -> None:
    assert [clause.text for clause in clauses_of(argv)] == found


def test_who_qualifies_is_on_the_page(m: Material) -> None:
    said = text(required(m))
    assert "Required: acc&gt;0.8." in said
    assert f"{STARVED} no" in said


# -- what is held -----------------------------------------------------------------------------------------------------


def test_a_later_answer_takes_the_place_of_an_earlier_one_and_gaps_are_not_answers(made_up_rows: list[Row]) -> None:
    row = next(row for row in made_up_rows if isinstance(row, AnswerRow))
    change = msgspec.structs.replace
    held = Answers()
    for sample in "abc":
        held.put(change(row, sample=sample, candidate="x", score=1.0, status="ok"))
    held.put(change(row, sample="c", candidate="y", score=0.0, status="ok"))
    held.put(change(row, sample="c", candidate="x", score=0.0, status="ok"))
    seen = board(held.asked[row.benchmark])
    assert seen.names == ("x", "y")
    assert seen.asked.tolist() == [[True, True, True], [False, False, True]]
    assert seen.right.tolist() == [[True, True, False], [False, False, False]]
    assert not seen.differ.any()
    assert np.count_nonzero(seen.wrong) == 2


def test_a_page_of_figures_alone_is_written_too(tmp_path: Path, judged_run: Path) -> None:
    for name in ("run.json", "summary.json"):
        (tmp_path / name).write_bytes((judged_run / name).read_bytes())
    said = text(write_report(tmp_path, images=lambda sha: None).read_text("utf-8"))
    assert "Accuracy" in said and "its accuracy is not known under two of them" in said
