"""The gallery shows where candidates differ, from the same rows always the same samples."""

from __future__ import annotations

import base64
import io
import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fourways.core.rows import AnswerRow, Row
from fourways.report.facts import collect
from fourways.report.gallery import asked_text, box_text, choose, gallery, gather, gold_text, kind_of
from fourways.report.thumbnails import thumbnail


def test_samples_on_which_candidates_differ_come_first_and_take_two_thirds(made_up_rows: list[Row]) -> None:
    facts = collect(made_up_rows)
    kinds = [kind_of(facts.verdicts[key].values()) for key in choose(facts)]
    assert len(kinds) == 36
    assert kinds == sorted(kinds, key=["disagree", "wrong", "right"].index)
    assert Counter(kinds)["disagree"] >= 24


def test_every_benchmark_is_among_them(made_up_rows: list[Row]) -> None:
    chosen = choose(collect(made_up_rows))
    assert len({benchmark for benchmark, _ in chosen}) == 6


def test_the_order_of_the_rows_changes_nothing(made_up_rows: list[Row]) -> None:
    shuffled = list(made_up_rows)
    random.Random(0).shuffle(shuffled)
    assert choose(collect(shuffled)) == choose(collect(made_up_rows))


def test_the_chosen_rows_hold_every_candidates_answer(made_up_rows: list[Row]) -> None:
    chosen = choose(collect(made_up_rows))
    found = gather(made_up_rows, chosen)
    assert list(found) == chosen
    assert all(len(rows) == 3 for rows in found.values())


def test_an_image_that_cannot_be_had_or_shown_leaves_its_sample(made_up_rows: list[Row]) -> None:
    answers = [row for row in made_up_rows if isinstance(row, AnswerRow)][:1]
    samples = {(answers[0].benchmark, answers[0].sample): answers}
    for source in (None, b"not an image"):
        page = gallery(samples, [answers[0].candidate], {}, lambda sha, source=source: source, len(samples))
        assert "image not at hand" in page
        assert "<img" not in page
    assert "images left out" in gallery(samples, [answers[0].candidate], {}, None, len(samples))


def test_ten_annotators_are_counted_and_a_box_is_written_as_numbers() -> None:
    assert gold_text(("red",) * 9 + ("pink",)) == "red ×9, pink"
    assert gold_text((1.0, 2.0, 30.0, 40.4)) == box_text((1, 2, 30, 40.4)) == "(1, 2, 30, 40)"
    assert gold_text(()) == "not public"


def test_options_are_shown_unless_the_question_holds_them(made_up_rows: list[Row]) -> None:
    row = next(row for row in made_up_rows if isinstance(row, AnswerRow))
    asked = msgspec.structs.replace(row, question="Which?", extra={"option A": "red", "option B": "blue"})
    assert asked_text(asked) == "Which?\nA. red\nB. blue"
    inside = msgspec.structs.replace(asked, question="Which? A. red B. blue")
    assert asked_text(inside) == inside.question


def test_a_thumbnail_is_small_upright_and_carries_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a secret place"
    packed = io.BytesIO()
    Image.new("RGB", (1000, 500), "red").save(packed, "JPEG", exif=exif)
    small = thumbnail(packed.getvalue())
    assert small is not None
    assert (small.width, small.height) == (500, 1000)
    assert len(small.data_url) < 4000
    assert b"secret" not in base64.b64decode(small.data_url.partition(",")[2])


@given(st.binary(max_size=300))
def test_bytes_that_are_no_picture_give_none(data: bytes) -> None:
    assert thumbnail(data) is None


def test_what_no_run_reads_is_not_opened_for_the_page_either() -> None:
    for kind in ("EPS", "GIF", "TIFF"):
        packed = io.BytesIO()
        Image.new("RGB", (30, 20)).save(packed, kind)
        assert thumbnail(packed.getvalue()) is None


def test_a_16_bit_picture_is_not_shown_white() -> None:
    packed = io.BytesIO()
    Image.new("I;16", (30, 20), 128 << 8).save(packed, "PNG")
    small = thumbnail(packed.getvalue())
    assert small is not None
    with Image.open(io.BytesIO(base64.b64decode(small.data_url.partition(",")[2]))) as shown:
        assert shown.getpixel((3, 3)) == (128, 128, 128)


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "CMYK", "I;16", "1"])
def test_every_mode_can_be_shown(mode: str) -> None:
    packed = io.BytesIO()
    Image.new(mode, (30, 20)).save(packed, "JPEG" if mode == "CMYK" else "PNG")
    assert thumbnail(packed.getvalue()) is not None


def test_how_many_of_how_many_samples_are_shown_and_how_they_were_chosen(made_up_rows: list[Row]) -> None:
    facts = collect(made_up_rows)
    samples = gather(made_up_rows, choose(facts))
    page = gallery(samples, ["a"], {}, None, len(facts.verdicts))
    assert f"{len(samples)} of {len(facts.verdicts)} samples" in page
    assert "on which the candidates disagree, then" in page
    assert "is not the accuracy" in page
