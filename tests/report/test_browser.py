"""The page in a real browser, wide and narrow."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fourways.core.figure import AXES
from fourways.core.rows import FailureRow, Row
from fourways.core.run import RunHeader
from fourways.report import write_report

_spec = importlib.util.spec_from_file_location("report_browser", Path(__file__).with_name("browser.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)

pytestmark = pytest.mark.skipif(
    _module.program() is None, reason="no Chromium is installed (apt-get install chromium), so no page can be opened"
)
WIDTHS = (1400, 400)
OVERLAPS = """
[...document.querySelectorAll("figure svg")].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
  return boxes.flatMap(([name, a], i) => boxes.slice(i + 1)
    .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
    .map(([other]) => svg.getAttribute("aria-label").slice(0, 40) + ": " + name + " / " + other));
})
"""
SMALLEST_TEXT = """
Math.min(...[...document.querySelectorAll("figure svg text")].map((t) => 12 * t.getCTM().a))
"""
OUTSIDE = """
[...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .result thead, .stacked thead")
  && e.getClientRects().length
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map((e) => e.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with _module.Browser(_module.program(), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(made_up_run: Path, images: Callable[[str], bytes | None]) -> Path:
    return write_report(made_up_run, images=images)


@pytest.fixture(scope="module")
def crowded(
    tmp_path_factory: pytest.TempPathFactory,
    made_up_rows: list[Row],
    made_up_header: RunHeader,
    make_run: Callable[[Path, list[Row], RunHeader], Path],
    images: Callable[[str], bytes | None],
) -> Path:
    """Nine candidates with long names that differ only at their ends; the last failed everywhere, at length."""
    rows: list[Row] = []
    records = []
    for k in range(9):
        source = made_up_header.candidates[k % 3]
        name = f"some-organisation/Qwen2.5-VL-72B-Instruct-with-a-long-name-int4-visual-{k}"
        records.append(msgspec.structs.replace(source, candidate=msgspec.structs.replace(source.candidate, name=name)))
        rows += [
            msgspec.structs.replace(r, candidate=name) for r in made_up_rows if r.candidate == source.candidate.name
        ]
    why = "the model failed: AttributeError: 'SomeVeryLongNamedForConditionalGeneration' object has no attribute 'x'"
    rows = [row for row in rows if row.candidate != name]
    rows += [FailureRow(name, axis, "axis", "", f"{why} " * 3) for axis in AXES]
    head = msgspec.structs.replace(made_up_header, candidates=tuple(records))
    return write_report(make_run(tmp_path_factory.mktemp("crowded"), rows, head), images=images)


@pytest.mark.parametrize("width", WIDTHS)
def test_nine_candidates_with_long_names_and_long_reasons_fit_too(browser: Any, crowded: Path, width: int) -> None:
    browser.open(crowded, width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OUTSIDE) == []
    assert browser.evaluate(OVERLAPS) == []


def test_the_check_for_touching_words_notices_them(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    doubled = 'document.querySelectorAll("figure svg text").forEach((t) => t.parentNode.append(t.cloneNode(true)));'
    assert browser.evaluate(doubled + OVERLAPS)


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_without_an_error_and_without_a_request(browser: Any, report: Path, width: int) -> None:
    browser.open(report, width=width)
    said = [e["params"] for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert said == []
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", report.as_uri()))] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_it_never_scrolls_sideways(browser: Any, report: Path, width: int) -> None:
    browser.open(report, width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OUTSIDE) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_no_two_words_of_a_picture_touch_and_all_can_be_read(browser: Any, report: Path, width: int) -> None:
    browser.open(report, width=width)
    assert browser.evaluate(OVERLAPS) == []
    assert browser.evaluate(SMALLEST_TEXT) > 10


def test_the_samples_can_be_narrowed_down(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    shown = 'document.querySelectorAll(".card:not([hidden])").length'
    assert browser.evaluate(shown) == 36
    picked = browser.evaluate(
        'const s = document.getElementById("pick-benchmark"); s.value = "mme";'
        's.dispatchEvent(new Event("change", {bubbles: true})); ' + shown
    )
    assert 0 < picked < 36


def test_every_image_of_the_gallery_is_drawn(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    drawn = "[...document.images].filter((i) => i.complete && i.naturalWidth > 0).length"
    assert browser.evaluate(drawn) == browser.evaluate("document.images.length") > 0
