from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks.answers.boxes import find_box, from_pixels, iou, read_box, render, to_pixels
from fourways.core.boxes import BoxFormat, BoxSpace, BoxSyntax
from fourways.core.events import VisualGeometry

SPACES: tuple[BoxSpace, ...] = ("original_pixels", "seen_pixels", "norm_1", "norm_999", "norm_1000", "padded_square_1")
SYNTAXES: tuple[BoxSyntax, ...] = ("json_bbox_2d", "parentheses", "brackets", "double_brackets")
formats = st.builds(BoxFormat, st.sampled_from(SPACES), st.sampled_from(SYNTAXES))
sizes = st.tuples(st.integers(28, 3000), st.integers(28, 3000))


@st.composite
def boxes_in(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    width, height = draw(sizes)
    x1, x2 = sorted((draw(st.floats(0, width)), draw(st.floats(0, width))))
    y1, y2 = sorted((draw(st.floats(0, height)), draw(st.floats(0, height))))
    return (width, height), (x1, y1, x2, y2)


def geometry(original: tuple[int, int], seen: tuple[int, int]) -> VisualGeometry:
    return VisualGeometry(original, seen, 1, 1, False)


@given(boxes_in(), sizes, st.sampled_from(SPACES))
def test_mapping_there_and_back_changes_nothing(
    image: tuple[tuple[int, int], tuple[float, float, float, float]], seen: tuple[int, int], space: BoxSpace
) -> None:
    original, box = image
    form = BoxFormat(space, "brackets")
    there = from_pixels(box, form, original, seen)
    assert to_pixels(there, form, original, seen) == pytest.approx(box, abs=1e-6)


@given(boxes_in(), sizes, formats)
def test_a_rendered_box_is_read_back_to_within_its_rounding(
    image: tuple[tuple[int, int], tuple[float, float, float, float]], seen: tuple[int, int], form: BoxFormat
) -> None:
    original, box = image
    reply = render(box, form, original, seen, label='the "red" dog')
    found = read_box(reply, form, geometry(original, seen), original)
    assert found is not None
    step = to_pixels(
        (0.0, 0.0, 0.005, 0.005) if form.space[-2:] == "_1" else (0.0, 0.0, 0.5, 0.5), form, original, seen
    )
    tolerance = max(step[2] - step[0], step[3] - step[1]) + 1e-6
    assert found == pytest.approx(box, abs=tolerance)


def test_a_perfect_qwen_box_is_perfect() -> None:
    """Kits that take pixels of the resized image for thousandths score this box 0.084."""
    form = BoxFormat("seen_pixels", "json_bbox_2d")
    box = (320.0, 240.0, 480.0, 400.0)
    reply = render(box, form, (640, 480), (644, 476))
    found = read_box(reply, form, geometry((640, 480), (644, 476)), (640, 480))
    assert found is not None
    assert iou(found, box) > 0.99
    wrong = to_pixels(find_box(reply, "json_bbox_2d") or box, BoxFormat("norm_1000", "brackets"), (640, 480), None)
    assert iou(wrong, box) < 0.1


@pytest.mark.parametrize(
    ("reply", "syntax", "numbers"),
    [
        ('```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "dog"}]\n```', "json_bbox_2d", (10, 20, 30, 40)),
        ('{"bbox_2d":[10.5,20,30,40]', "json_bbox_2d", (10.5, 20, 30, 40)),
        ("<ref>dog</ref><box>(1,2),(3,4)</box>", "parentheses", (1, 2, 3, 4)),
        ("<|box_start|>(1, 2), (3, 4)<|box_end|>", "parentheses", (1, 2, 3, 4)),
        ("dog<box>[[1, 2, 3, 4]]</box>", "double_brackets", (1, 2, 3, 4)),
        ("[0.10, 0.20, 0.30, 0.40]", "brackets", (0.1, 0.2, 0.3, 0.4)),
        ("first [1,2,3,4] then [5,6,7,8]", "brackets", (1, 2, 3, 4)),
        ("no box", "brackets", None),
        ("[1, 2, 3]", "brackets", None),
        ("(1,2),(3,4)", "json_bbox_2d", None),
    ],
)
def test_only_the_declared_syntax_is_read(
    reply: str, syntax: BoxSyntax, numbers: tuple[float, float, float, float] | None
) -> None:
    assert find_box(reply, syntax) == numbers


def test_seen_pixels_without_the_size_that_was_seen_are_no_box() -> None:
    assert read_box("[1,2,3,4]", BoxFormat("seen_pixels", "brackets"), None, (640, 480)) is None


def test_a_padded_square_has_its_bars_taken_off() -> None:
    form = BoxFormat("padded_square_1", "brackets")
    assert read_box("[0.00, 0.25, 1.00, 0.75]", form, None, (400, 200)) == (0.0, 0.0, 400.0, 200.0)


@given(st.text(max_size=300), formats)
def test_no_reply_breaks_the_reader(reply: str, form: BoxFormat) -> None:
    found = read_box(reply, form, geometry((640, 480), (644, 476)), (640, 480))
    assert found is None or len(found) == 4


@given(st.lists(st.from_regex(r"\[?\(?-?[0-9.,]{0,40}\)?\]?,?", fullmatch=True), max_size=12).map("".join), formats)
def test_no_number_breaks_the_reader(reply: str, form: BoxFormat) -> None:
    read_box(reply, form, None, (640, 480))


coordinates = st.floats(-1e6, 1e6)
any_box = st.tuples(coordinates, coordinates, coordinates, coordinates)


@given(any_box, any_box)
def test_overlap_is_symmetric_and_a_share(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    a, b = (first[0], first[1], first[2], first[3]), (second[0], second[1], second[2], second[3])
    assert 0 <= iou(a, b) <= 1
    assert iou(a, b) == pytest.approx(iou(b, a))


@given(coordinates, coordinates, st.floats(2e-3, 1e6), st.floats(2e-3, 1e6))
def test_a_box_with_area_overlaps_itself_wholly(x: float, y: float, width: float, height: float) -> None:
    box = (x, y, x + width, y + height)
    assert iou(box, box) == pytest.approx(1.0)


def test_areas_have_no_plus_one() -> None:
    assert iou((0, 0, 10, 10), (0, 0, 10, 5)) == 0.5
    assert iou((0, 0, 0, 10), (0, 0, 0, 10)) == 0.0
