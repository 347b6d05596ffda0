"""Shards and chunks divide samples without losing, doubling or tearing apart anything."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fourways.axes.sharing import LARGEST, chunks_of, shard_of
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.draw import draw, whole_units
from fourways.core.run import Shard


def sample(number: int, image: int, group: int) -> Sample:
    return Sample(f"s{number}", f"g{group}", f"i{image}", lambda: b"", "?", ())


@st.composite
def samples(draw_: st.DrawFn) -> list[Sample]:
    """Questions about images, some of which share a group with another image, in any order."""
    pairs = draw_(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=120))
    return draw(
        [sample(number, image, 100 * (image // 2) + group) for number, (image, group) in enumerate(pairs)], None, 7
    )


@given(samples(), st.integers(1, 9))
def test_the_shards_of_a_draw_are_disjoint_complete_and_whole(drawn: list[Sample], of: int) -> None:
    shards = [shard_of(drawn, Shard(index, of), "mme") for index in range(1, of + 1)]
    assert Counter(s.id for shard in shards for s in shard) == Counter(s.id for s in drawn)
    where = {s.id: index for index, shard in enumerate(shards) for s in shard}
    for unit in whole_units(drawn):
        assert len({where[s.id] for s in unit}) == 1


@given(samples(), st.integers(1, 9))
def test_shards_differ_by_no_more_than_the_largest_unit(drawn: list[Sample], of: int) -> None:
    sizes = [len(shard_of(drawn, Shard(index, of), "mme")) for index in range(1, of + 1)]
    assert max(sizes) - min(sizes) <= max((len(unit) for unit in whole_units(drawn)), default=0)


@given(samples(), st.integers(1, 9))
def test_a_shard_keeps_the_order_of_the_draw(drawn: list[Sample], of: int) -> None:
    place = {s.id: number for number, s in enumerate(drawn)}
    places = [place[s.id] for s in shard_of(drawn, Shard(1, of), "mme")]
    assert places == sorted(places)


def test_small_benchmarks_do_not_all_fall_to_the_first_shard() -> None:
    drawn = [sample(number, number, number) for number in range(3)]
    held = Counter(
        index for key in map(str, range(64)) for index in range(1, 17) for _ in shard_of(drawn, Shard(index, 16), key)
    )
    assert len(held) == 16 and max(held.values()) < 64


@given(samples(), st.integers(1, 24))
def test_chunks_hold_every_sample_once_in_order_and_no_unit_in_two(drawn: list[Sample], hands: int) -> None:
    chunks = chunks_of("mme", drawn, hands)
    assert [name for chunk in chunks for name in chunk.samples] == [s.id for s in drawn]
    assert [unit for chunk in chunks for unit in chunk.units] == [tuple(s.id for s in u) for u in whole_units(drawn)]


def test_chunks_are_large_at_first_and_small_at_the_end() -> None:
    drawn = [sample(number, number // 2, number) for number in range(4000)]
    sizes = [len(chunk.samples) for chunk in chunks_of("mme", drawn, 6)]
    assert sizes[0] == LARGEST
    assert sizes[-1] <= 4
    assert sizes == sorted(sizes, reverse=True)
