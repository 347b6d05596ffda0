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
def judged_report(judged_run: Path, images: Callable[[str], bytes | None]) -> Path:
    return write_report(judged_run, images=images)


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


SHOWN = 'document.querySelectorAll(".card:not([hidden])").length'
FIRST_ALONE = "said[0] === 'r' && 'wuf'.includes(said[1])"
FOUND = 'parseInt(document.getElementById("filters").elements.picked.value)'


def pick(browser: Any, **fields: str) -> int:
    """Fills in the form, and says how many samples are then found."""
    filled = "; ".join(f"f.elements[{name.replace('_', '-')!r}].value = {value!r}" for name, value in fields.items())
    form = 'const f = document.getElementById("filters"); f.reset()'
    return int(
        browser.evaluate(f'(() => {{ {form}; {filled}; f.dispatchEvent(new Event("input")); return {FOUND}; }})()')
    )


def test_the_samples_can_be_narrowed_down(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    every = browser.evaluate('document.querySelectorAll(".card").length')
    assert browser.evaluate(FOUND) == every > 100
    assert 0 < pick(browser, benchmark="mme") < every
    assert 0 < pick(browser, benchmark="mme", category="count") < pick(browser, benchmark="mme")
    kinds = [pick(browser, kind=kind) for kind in ("disagree", "wrong", "right")]
    assert sum(kinds) == every and all(kinds)
    assert 0 < pick(browser, kind="unread") < every


def test_candidates_can_be_told_apart(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    expected = f"[...document.querySelectorAll('.card')].filter(({{ dataset: {{ said }} }}) => {FIRST_ALONE}).length"
    found = pick(browser, first="0", first_is="r", second="1", second_is="wuf")
    assert found == browser.evaluate(expected) > 0
    alone = pick(browser, first="1", first_is="only-wuf")
    assert 0 < alone < pick(browser, first="1", first_is="wuf")


def test_words_are_searched_in_questions_and_replies(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    assert pick(browser, words="no such words anywhere") == 0
    assert 0 < pick(browser, words="ONERROR alert") < pick(browser, words="colour")


def test_a_number_of_the_matrix_leads_to_its_samples(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    browser.evaluate('document.querySelector(\'a[data-first="0"][data-second="1"]\').click()')
    assert browser.evaluate(FOUND) > 0
    shown = "[...document.querySelectorAll('.card:not([hidden])')]"
    assert browser.evaluate(f"{shown}.every(({{ dataset: {{ said }} }}) => {FIRST_ALONE})")


def test_more_samples_appear_when_they_are_asked_for(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    assert browser.evaluate(SHOWN) == 24
    browser.evaluate('document.getElementById("more").click()')
    assert browser.evaluate(SHOWN) == 48
    assert browser.evaluate('document.activeElement.classList.contains("card")')
    browser.evaluate('document.querySelector("#filters button").click()')
    assert browser.evaluate("new Promise((done) => setTimeout(() => done(0), 50)).then(() => " + SHOWN + ")") == 24


def test_without_scripts_all_samples_are_shown(browser: Any, report: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report, width=1400)
        assert browser.evaluate('document.querySelectorAll(".card").length') == browser.evaluate(SHOWN) > 100
        assert browser.evaluate('document.getElementById("filters").getClientRects().length') == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_form_can_be_used_without_a_mouse(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    assert browser.evaluate(
        '[...document.getElementById("filters").elements].filter((e) => e.tagName !== "OUTPUT")'
        ".every((e) => e.tabIndex === 0 && (e.labels.length || e.ariaLabel || e.textContent))"
    )


def test_every_image_of_the_gallery_is_drawn(browser: Any, report: Path) -> None:
    browser.open(report, width=1400)
    drawn = """Promise.all([...document.querySelectorAll("image")].map((i) => {
      const copy = new Image(); copy.src = i.href.baseVal; return copy.decode().then(() => copy.naturalWidth > 0);
    }))"""
    assert browser.evaluate(drawn) == [True] * 40
    cards = "[...document.querySelectorAll('.card:not([hidden]) svg.picture')]"
    seen = f"{cards}.every((s) => s.querySelector('use').getBBox().width > 0)"
    assert browser.evaluate(seen)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", ["report", "judged_report"])
def test_everything_that_unfolds_fits_too(browser: Any, page: str, width: int, request: pytest.FixtureRequest) -> None:
    browser.open(request.getfixturevalue(page), width=width)
    assert [e["params"] for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")] == []
    browser.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true; })')
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OUTSIDE) == []
    assert browser.evaluate(OVERLAPS) == []
    assert browser.evaluate(SMALLEST_TEXT) > 10


def test_a_table_that_goes_on_to_the_right_fades_there_until_its_end(browser: Any, report: Path) -> None:
    frames = "[...document.querySelectorAll('.scroll')].filter((f) => !f.closest('details:not([open])'))"
    faded = f"""new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done({frames}.map((f) =>
      [f.scrollWidth > f.clientWidth, parseFloat(getComputedStyle(f).getPropertyValue('--fade')) > 0])))))"""
    found = []
    for width in WIDTHS:
        browser.open(report, width=width)
        found += browser.evaluate(faded)
    assert {wide for wide, _ in found} == {True, False}
    assert all(wide == fades for wide, fades in found)
    browser.evaluate(f"{frames}.forEach((f) => {{ f.scrollLeft = f.scrollWidth }})")
    assert not any(fades for _, fades in browser.evaluate(faded))
