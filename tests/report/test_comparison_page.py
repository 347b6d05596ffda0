"""The page of a comparison: what it says, that nothing foreign gets in, and how it stands in a browser."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import msgspec
import pytest

from fourways.core.figure import Figure
from fourways.core.run import RunHeader
from fourways.core.verdict import (
    COMPARISON_SCHEMA,
    AxisVerdict,
    Comparison,
    Difference,
    FigurePair,
    Ground,
    Verdict,
)
from fourways.report.comparison import chief, comparison_page, in_words, named, named_in, write_comparison

_spec = importlib.util.spec_from_file_location("comparison_browser", Path(__file__).with_name("browser.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)

HOSTILE = '<script>alert(1)</script> \u202e & "x" <img src=y onerror=alert(2)>'
UNDECIDED = "not separated (this n sees differences of 4.2 pp or more)"
OUTSIDE = """
[...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .stacked thead")
  && e.getClientRects().length
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map((e) => e.outerHTML.slice(0, 120))
"""


def figure(value: float, **changes: object) -> Figure:
    made = Figure(
        "latency", "qwen", "e2e_p50", "e2e_p50@2", "ms", "lower", value, value - 5, value + 5, 32, "requests", "ok",
        labels={"concurrency": "1", "cache": "warm"}, headline=True,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def comparison(words: str = "a reason") -> Comparison:
    test = figure(
        -0.02, axis="accuracy", metric="aggregate_difference", definition="aggregate_difference@2", unit="fraction",
        low=-0.05, high=0.01, headline=False,
        labels={"versus": "qwen (old)", "verdict": f"{UNDECIDED} {words}"},
    )  # fmt: skip
    judged: tuple[tuple[Ground, Verdict], ...] = (
        ("hashes", "reproduced"),
        ("accuracy", "not reproduced"),
        ("latency", "not comparable"),
        ("memory", "reproduced"),
        ("tuning", "reproduced"),
    )
    return Comparison(
        COMPARISON_SCHEMA,
        "old-run",
        "new-run",
        tuple(
            AxisVerdict("qwen", ground, verdict, (words, "and another"), {f"{ground}.n": 40.0})
            for ground, verdict in judged
        ),
        (Difference("source.commit", "a" * 64, "b" * 64), Difference(f"candidates.{words}.dtype", None, words)),
        (
            FigurePair(figure(70.0), figure(105.0)),
            FigurePair(figure(1.0, metric="stage_p50", headline=False), None),
        ),
        (test,),
        (f"{words} is only in the old run",),
    )


def test_the_page_says_each_verdict_with_its_reasons_and_statistics(made_up_header: RunHeader) -> None:
    page = comparison_page(comparison(), made_up_header)
    assert "A run again: 3 reproduced, 1 not reproduced, 1 not comparable" in page
    assert all(word in page for word in ("a reason", "and another", "latency.n", "source.commit", "is only in the old"))
    assert UNDECIDED in page


def test_without_verdicts_it_lays_the_figures_side_by_side(made_up_header: RunHeader) -> None:
    page = comparison_page(msgspec.structs.replace(comparison(), verdicts=()), made_up_header)
    assert "Two runs side by side" in page
    assert "not reproduced" not in page
    assert page.index("70") < page.index("105")


def test_what_others_wrote_is_escaped_and_nothing_is_fetched(made_up_header: RunHeader) -> None:
    page = comparison_page(comparison(HOSTILE), made_up_header)
    assert "<script>alert" not in page and "<img src=y" not in page and "\u202e" not in page
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)


def test_a_test_is_named_by_the_candidate_and_says_how_many_answers_are_the_same(made_up_header: RunHeader) -> None:
    labels = {"versus": "qwen (old)", "same answers": "38 of 40"}
    test = figure(0.0, candidate="qwen (new)", labels=labels)
    assert named_in(test) == "qwen"
    assert named_in(figure(0.0, candidate="int4 (new)", labels=labels)) == "int4=qwen"
    page = comparison_page(msgspec.structs.replace(comparison(), tests=(test,)), made_up_header)
    assert "38 of 40" in page and "qwen (new)" not in page
    assert "few images leave it wide" in page


def test_a_pair_is_named_by_both_names_where_they_differ() -> None:
    pair = FigurePair(figure(1.0), figure(2.0, candidate="int4"))
    assert named(pair) == "int4=qwen"
    assert in_words(pair) == "e2e p50 (concurrency 1, cache warm)"
    assert chief(pair) and not chief(FigurePair(None, figure(1.0, metric="stage_p50", headline=False)))


@pytest.mark.skipif(_module.program() is None, reason="no Chromium is installed (apt-get install chromium)")
def test_it_opens_in_a_browser_without_errors_and_nothing_stands_outside(
    tmp_path: Path, made_up_header: RunHeader
) -> None:
    target = tmp_path / "comparison.html"
    write_comparison(comparison("of some length, with numbers: ×1.52 [1.31 to 1.77]"), made_up_header, target)
    with _module.Browser(_module.program(), tmp_path / "profile") as browser:
        for width in (1400, 400):
            browser.open(target, width=width)
            assert browser.evaluate(OUTSIDE) == []
            assert browser.evaluate("document.querySelectorAll('section').length") >= 5
            wrong = [e for e in browser.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
            assert wrong == []
