"""report.html needs nothing else, says everything, and lets nothing in it act."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow, RequestRow, Row
from fourways.core.run import RunHeader
from fourways.report import write_report

Images = Callable[[str], bytes | None]
MakeRun = Callable[[Path, list[Row], RunHeader], Path]
SECTIONS = [
    "result", "accuracy", "pairs", "yes-no", "calibration", "latency", "memory", "tuning", "gallery", "unread",
    "failures", "ran", "definitions",
]  # fmt: skip


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.raw[self._inside] = data
            self._inside = ""

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


@pytest.fixture(scope="module")
def text(made_up_run: Path, images: Images) -> str:
    return write_report(made_up_run, images=images).read_text("utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> _Page:
    return _Page(text)


def test_every_section_is_there_with_its_heading(page: _Page) -> None:
    assert [attributes["id"] for attributes in page.all("section")] == SECTIONS
    assert len(page.all("h1")) == 1
    assert len(page.all("h2")) == len(SECTIONS)


def test_nothing_is_fetched_and_nothing_leads_out(page: _Page) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes
    assert "url(" not in page.raw["style"]
    assert "@import" not in page.raw["style"]


def test_the_policy_allows_the_pages_own_style_and_script_alone(page: _Page) -> None:
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert len(page.all("script")) == len(page.all("style")) == 1


def test_replies_cannot_act(text: str, page: _Page) -> None:
    assert "onerror=alert" in text, "the run holds hostile replies, and they are shown"
    assert not any(name.startswith("on") or name == "style" for _, found in page.elements for name in found)
    assert "\u202e" not in text
    assert "[U+202E]" in text


def test_ids_are_unique_and_every_link_arrives(page: _Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {(attributes["href"] or "")[1:] for attributes in page.all("a")}
    assert links <= set(ids)


def test_every_picture_says_in_words_what_it_shows(page: _Page) -> None:
    pictures = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(pictures) > 30
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in pictures)
    assert any(svg.get("class") == "picture" for svg in pictures)


def test_it_stays_below_four_megabytes(text: str) -> None:
    assert len(text.encode()) < 4_000_000


def test_a_big_run_with_big_photographs_stays_below_it_too(
    tmp_path: Path, made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun
) -> None:
    import io

    import numpy as np
    from PIL import Image

    def noise(sha: str) -> bytes:
        pixels = np.random.default_rng(int(sha[:8], 16)).integers(0, 255, (900, 1200, 3), dtype=np.uint8)
        packed = io.BytesIO()
        Image.fromarray(pixels).save(packed, "JPEG")
        return packed.getvalue()

    many = [msgspec.structs.replace(r, sample=f"{r.sample}000{k}") if isinstance(r, AnswerRow) else r
            for k in range(3) for r in made_up_rows if k == 0 or isinstance(r, AnswerRow | RequestRow)]  # fmt: skip
    page = write_report(make_run(tmp_path / "big", many, made_up_header), images=noise)
    assert page.stat().st_size < 5_000_000


def test_the_small_models_are_said_to_speak_for_nothing_larger(text: str) -> None:
    assert "say nothing about the large models" in text


def test_random_weights_are_said_to_be_random(
    tmp_path: Path, made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun, images: Images
) -> None:
    first = made_up_header.candidates[0]
    random = msgspec.structs.replace(first, candidate=msgspec.structs.replace(first.candidate, weights="random"))
    head = msgspec.structs.replace(made_up_header, candidates=(random, *made_up_header.candidates[1:]))
    assert "never trained" in write_report(make_run(tmp_path / "r", made_up_rows, head), images=images).read_text(
        "utf-8"
    )


def test_images_can_be_left_out_and_are_then_not_even_asked_for(made_up_run: Path) -> None:
    def asked(sha: str) -> bytes | None:
        raise AssertionError("a private picture was asked for")

    page = _Page(write_report(made_up_run, images=asked, include_images=False).read_text("utf-8"))
    assert page.all("image") == []
    assert any(attributes.get("id") == "gallery" for attributes in page.all("section"))


@pytest.mark.parametrize("kind", ["answer", "request", "memory_sample", "tune_answer", "failure"])
def test_a_run_with_one_kind_of_rows_has_a_page(
    kind: str, tmp_path: Path, made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun, images: Images
) -> None:
    some = [row for row in made_up_rows if type(row).__struct_config__.tag == kind]
    page = _Page(write_report(make_run(tmp_path / "one", some, made_up_header), images=images).read_text("utf-8"))
    assert page.all("section")


def test_a_run_in_which_nothing_was_measured_has_a_page(
    tmp_path: Path, made_up_header: RunHeader, make_run: MakeRun, images: Images
) -> None:
    text = write_report(make_run(tmp_path / "none", [], made_up_header), images=images).read_text("utf-8")
    assert text.count("not run") >= 12


def test_a_row_cut_off_by_a_kill_is_left_out(
    tmp_path: Path, made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun, images: Images
) -> None:
    run = make_run(tmp_path / "torn", made_up_rows[:500], made_up_header)
    with (run / "rows.jsonl").open("ab") as stream:
        stream.write(b'{"kind":"answer","cand')
    assert write_report(run, images=images).exists()


def test_a_folder_that_holds_no_run_is_named(tmp_path: Path, images: Images) -> None:
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        write_report(tmp_path, images=images)


def test_a_single_candidate_is_compared_with_nobody(
    make_run: MakeRun, made_up_header: RunHeader, made_up_rows: list[Row], tmp_path: Path, images: Images
) -> None:
    alone = msgspec.structs.replace(made_up_header, candidates=made_up_header.candidates[:1])
    name = alone.candidates[0].candidate.name
    run = make_run(tmp_path / "alone", [row for row in made_up_rows if row.candidate == name], alone)
    text = write_report(run, images=images).read_text("utf-8")
    assert '<section id="gallery"><h2>Samples</h2>' in text
    for said in ("Where candidates disagree", "one picture a candidate", "best here", "Accuracy against latency"):
        assert said not in text, said


def test_one_axis_alone_has_no_front(
    make_run: MakeRun, made_up_header: RunHeader, made_up_rows: list[Row], tmp_path: Path, images: Images
) -> None:
    header = msgspec.structs.replace(made_up_header, axes=("accuracy",))
    answers = [row for row in made_up_rows if isinstance(row, AnswerRow)]
    text = write_report(make_run(tmp_path / "one", answers, header), images=images).read_text("utf-8")
    assert "Accuracy against latency" not in text and "beaten by" not in text
    assert "Where candidates disagree" in text and "best here" not in text


def test_the_wait_for_the_first_token_is_shown_in_parts(text: str) -> None:
    latency = text.partition('<section id="latency">')[2].partition("</section>")[0]
    assert "What the first token waited for" in latency
    assert "client's own delay" in latency.replace("&#x27;", "'") and "not explained by a stage" in latency


def test_the_share_of_the_physical_limit_says_what_limits_it(text: str) -> None:
    latency = text.partition('<section id="latency">')[2].partition("</section>")[0]
    assert "limited by memory" in latency and "limited by arithmetic" in latency


def test_a_client_that_could_not_keep_up_is_told_before_any_time(text: str) -> None:
    latency = text.partition('<section id="latency">')[2].partition("</section>")[0]
    warned = latency.index("its event loop was busy 97 % of the time")
    assert warned < latency.index("How the times of single requests are spread")
