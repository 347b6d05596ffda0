from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks.contract import Sample
from fourways.benchmarks.draw import draw


def sample(number: int, group: str, image: str, category: str = "") -> Sample:
    return Sample(str(number), group, image, bytes, "q", ("a",), category)


sets = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), st.sampled_from("xyz")), max_size=60).map(
    lambda rows: [
        sample(i, f"g{image}-{group}", f"i{image}", category) for i, (image, group, category) in enumerate(rows)
    ]
)


@given(sets, st.integers(1, 70), st.integers(0, 5))
def test_images_and_groups_are_whole(samples: list[Sample], limit: int, seed: int) -> None:
    drawn = draw(samples, limit, seed)
    for name in ("image_key", "group"):
        taken = Counter(getattr(s, name) for s in drawn)
        there = Counter(getattr(s, name) for s in samples)
        assert all(there[key] == count for key, count in taken.items())


@given(sets, st.integers(1, 70), st.integers(0, 5))
def test_the_limit_holds_unless_a_single_image_exceeds_it(samples: list[Sample], limit: int, seed: int) -> None:
    drawn = draw(samples, limit, seed)
    assert len(drawn) <= limit or len({s.image_key for s in drawn}) == 1
    assert bool(drawn) == bool(samples)


@given(sets, st.integers(0, 5), st.none() | st.integers(1, 70))
def test_questions_about_one_image_are_adjacent(samples: list[Sample], seed: int, limit: int | None) -> None:
    order = [s.image_key for s in draw(samples, limit, seed)]
    changes = sum(a != b for a, b in pairwise(order))
    assert changes == max(0, len(set(order)) - 1)


@given(sets, st.integers(1, 70), st.integers(0, 5))
def test_the_files_order_does_not_decide(samples: list[Sample], limit: int, seed: int) -> None:
    uniform = [sample(int(s.id), s.group, s.image_key) for s in samples]
    assert {s.id for s in draw(uniform, limit, seed)} == {s.id for s in draw(uniform[::-1], limit, seed)}


@given(sets)
def test_without_a_limit_nothing_is_left_out(samples: list[Sample]) -> None:
    assert Counter(s.id for s in draw(samples, None, 0)) == Counter(s.id for s in samples)


def test_a_group_over_two_images_joins_them() -> None:
    samples = [sample(0, "g", "i0"), sample(1, "h", "i1"), sample(2, "g", "i2"), sample(3, "k", "i2")]
    assert [s.id for s in draw(samples, None, 0)] == ["0", "2", "3", "1"]
    for seed in range(20):
        taken = {s.id for s in draw(samples, 3, seed)}
        assert taken in ({"0", "2", "3"}, {"1"})


def test_categories_keep_their_proportion() -> None:
    samples = [sample(i, f"g{i}", f"i{i}", "common" if i % 10 else "rare") for i in range(1000)]
    for seed in range(10):
        drawn = Counter(s.category for s in draw(samples, 100, seed))
        assert drawn["rare"] in (9, 10, 11)
        assert sum(drawn.values()) == 100


def test_seeds_differ_and_repeat() -> None:
    samples = [sample(i, f"g{i}", f"i{i}") for i in range(100)]
    first = [s.id for s in draw(samples, 20, 1)]
    assert first == [s.id for s in draw(samples, 20, 1)]
    assert first != [s.id for s in draw(samples, 20, 2)]


def test_a_larger_draw_holds_the_smaller_one() -> None:
    samples = [sample(i, f"g{i}", f"i{i}", str(i % 3)) for i in range(200)]
    assert {s.id for s in draw(samples, 30, 4)} <= {s.id for s in draw(samples, 90, 4)}


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        draw([], 0, 0)
