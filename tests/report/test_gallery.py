"""The gallery shows where candidates differ, from the same rows always the same samples."""

from __future__ import annotations

import base64
import io
import random
import re
from collections import Counter
from collections.abc import Callable
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fourways.core.rows import AnswerRow, Row
from fourways.report.cards import asked_text, box_text, gold_text, kinds_of, letter
from fourways.report.choice import Key, choose, choose_unread
from fourways.report.facts import collect
from fourways.report.gallery import disagreements, gallery
from fourways.report.gathered import gather
from fourways.report.pictures import Pictures
from fourways.report.thumbnails import thumbnail

NAMES = ("zoo:qwen2_5_vl", "zoo:llava_next", "far-away-server")


def chosen_rows(rows: list[Row], most: int = 36) -> dict[Key, list[AnswerRow]]:
    return gather(rows, choose(collect(rows).answers, most)).samples


def test_samples_on_which_candidates_differ_take_two_thirds(made_up_rows: list[Row]) -> None:
    kinds = Counter(kinds_of(rows)[0] for rows in chosen_rows(made_up_rows).values())
    assert kinds.total() == 36
    assert kinds["disagree"] >= 24
    assert kinds["wrong"] > 0 and kinds["right"] > 0


def test_every_benchmark_is_among_them(made_up_rows: list[Row]) -> None:
    assert len({benchmark for benchmark, _ in chosen_rows(made_up_rows)}) == 6


def test_for_every_two_candidates_there_are_samples_that_tell_them_apart(made_up_rows: list[Row]) -> None:
    shown = chosen_rows(made_up_rows, 60)
    for first, second in permutations(NAMES, 2):
        said = [{row.candidate: letter(row) for row in rows} for rows in shown.values()]
        assert sum(one[first] == "r" and one[second] in "wu" for one in said) >= 5, (first, second)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_the_rows_changes_nothing(made_up_rows: list[Row], seed: int) -> None:
    shuffled = list(made_up_rows)
    random.Random(seed).shuffle(shuffled)
    first, second = collect(shuffled).answers, collect(made_up_rows).answers
    assert choose(first) == choose(second)
    assert sorted(choose_unread(first)) == sorted(choose_unread(second))


def test_the_chosen_rows_hold_every_candidates_answer(made_up_rows: list[Row]) -> None:
    chosen = choose(collect(made_up_rows).answers)
    found = gather(made_up_rows, chosen).samples
    assert list(found) == chosen
    assert all(len(rows) == 3 for rows in found.values())


def test_where_no_answer_is_public_nobody_is_called_wrong(made_up_rows: list[Row]) -> None:
    row = next(row for row in made_up_rows if isinstance(row, AnswerRow))
    closed = [msgspec.structs.replace(row, gold=(), score=0.0, candidate=name, parsed="a") for name in NAMES]
    assert kinds_of(closed) == ("rest",)
    answers = collect(closed).answers
    assert disagreements(answers)[0].total() == 0
    page = gallery(gather(closed, choose(answers)).samples, NAMES, {}, Pictures(None), 1)
    assert "not scored" in page and "wrong</span>" not in page


def test_the_matrix_counts_who_is_right_where_another_is_wrong(made_up_rows: list[Row]) -> None:
    right, both = disagreements(collect(made_up_rows).answers)
    by_sample: dict[Key, dict[str, float]] = {}
    for row in made_up_rows:
        if isinstance(row, AnswerRow):
            by_sample.setdefault((row.benchmark, row.sample), {})[row.candidate] = row.score
    for first, second in permutations(NAMES, 2):
        expected = sum(scores[first] == 1 and scores[second] == 0 for scores in by_sample.values())
        assert right[first, second] == expected > 0
        assert both[first, second] == 720


def test_a_candidate_that_was_asked_less_is_compared_on_what_both_were_asked(made_up_rows: list[Row]) -> None:
    few = [r for r in made_up_rows if not isinstance(r, AnswerRow) or r.candidate != NAMES[1] or r.benchmark == "mme"]
    _, both = disagreements(collect(few).answers)
    assert both[NAMES[0], NAMES[1]] == 120
    assert both[NAMES[0], NAMES[2]] == 720


def test_an_image_that_cannot_be_had_or_shown_leaves_its_sample(made_up_rows: list[Row]) -> None:
    answers = [row for row in made_up_rows if isinstance(row, AnswerRow)][:1]
    samples = {(answers[0].benchmark, answers[0].sample): answers}
    for source in (None, b"not an image"):
        pictures = Pictures(lambda sha, source=source: source)
        page = gallery(samples, [answers[0].candidate], {}, pictures, len(samples))
        assert "image not at hand" in page
        assert "<image" not in page
    assert "images left out" in gallery(samples, [answers[0].candidate], {}, Pictures(None), len(samples))


def test_a_picture_stands_in_the_page_once(made_up_rows: list[Row], images: Callable[[str], bytes | None]) -> None:
    page = gallery(chosen_rows(made_up_rows, 200), NAMES, {}, Pictures(images), 720)
    assert page.count("data:image") == len(set(re.findall(r"data:image[^\"]+", page))) == 40
    assert page.count('<use href="#picture-') > 100


def test_when_the_room_for_pictures_is_used_up_the_rest_is_text(
    made_up_rows: list[Row], images: Callable[[str], bytes | None]
) -> None:
    page = gallery(chosen_rows(made_up_rows), NAMES, {}, Pictures(images, room=4000), 720)
    assert 0 < page.count("data:image") < 10
    assert "left out to keep the page small" in page


def test_a_very_long_reply_is_cut_before_it_is_held(made_up_rows: list[Row]) -> None:
    row = next(row for row in made_up_rows if isinstance(row, AnswerRow))
    long = msgspec.structs.replace(row, reply="x" * 100_000)
    held = gather([long], [(row.benchmark, row.sample)]).samples[row.benchmark, row.sample][0]
    assert len(held.reply) < 700
    assert held.reply.endswith("(100,000 characters)")


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
    page = gallery(chosen_rows(made_up_rows), NAMES, {}, Pictures(None), 720)
    assert "36 of 720 samples" in page
    assert "on which the candidates disagree, then" in page
    assert "is not the accuracy" in page
