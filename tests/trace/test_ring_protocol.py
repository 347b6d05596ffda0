"""Every record is read once and in order, or counted as dropped, and none is torn: whatever comes in between.

The writer is played store by store, and the reader's own code looks at memory that changes between any two of its
loads. Each record holds its own number in every field, so a mixture of two shows.
"""

from __future__ import annotations

import mmap
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.trace.record import DTYPE, RECORD, RECORD_BYTES, mark
from fourways.trace.ring import Marks, Reader, Records, Ring, Slots, write_fenced

FIELDS = ((0, 2), (2, 2), (4, 4), (8, 8), (16, 8), (24, 4), (28, 4))
"""Offset and size of each, in the order in which they are stored."""


def payload(number: int, lap: int) -> tuple[int, ...]:
    return mark(lap), number % 4093, number + 1, number * 7 + 3, number * 13 + 5, number + 11, lap


class Played:
    """A writer whose single stores are taken one at a time. `fate`: how a record goes, drawn anew for each."""

    def __init__(self, slots: int, total: int, draw: random.Random, *, ordered: bool, mishaps: bool) -> None:
        self.memory = bytearray(slots * RECORD_BYTES)
        self.slots = slots
        self.total = total
        self.reserved = 0
        self._draw = draw
        self._mishaps = mishaps
        self._stores = self._ordered() if ordered else self._unordered()

    def step(self, stores: int) -> None:
        for _ in range(stores):
            if next(self._stores, None) is None:
                return

    def finish(self) -> None:
        for _ in self._stores:
            pass

    def _reserve(self) -> tuple[int, int, int]:
        number = self.reserved
        self.reserved += 1
        return number, number % self.slots * RECORD_BYTES, number // self.slots + 1

    def _ordered(self) -> Iterator[bool]:
        while self.reserved < self.total:
            number, at, lap = self._reserve()
            fate = self._draw.random() if self._mishaps else 1.0
            if fate < 0.03:
                continue  # an exception between the reservation and the write
            if fate < 0.06 and self.reserved < self.total:  # another event on the same thread in between
                yield from self._pack(*self._reserve())
            yield from self._pack(number, at, lap)

    def _pack(self, number: int, at: int, lap: int) -> Iterator[bool]:
        """What `RECORD.pack_into` does: clears the record, in an order that nobody promises, then field by field."""
        pieces = self._draw.choice(
            [[(0, 32)], [(0, 16), (16, 16)], [(16, 16), (0, 16)], [(i, 8) for i in (0, 8, 16, 24)],
             [(i, 8) for i in (24, 16, 8, 0)], [(i, 1) for i in range(32)]]
        )  # fmt: skip
        for offset, size in pieces:
            self.memory[at + offset : at + offset + size] = bytes(size)
            yield True
        for (offset, size), value in zip(FIELDS, payload(number, lap), strict=True):
            self.memory[at + offset : at + offset + size] = value.to_bytes(size, "little")
            yield True

    def _unordered(self) -> Iterator[bool]:
        """What `write_fenced` does on a machine that shows stores in any order, but none across a fence."""
        while self.reserved < self.total:
            number, at, lap = self._reserve()
            self.memory[at + 28 : at + 32] = bytes(4)
            yield True
            stores = [
                (at + o, v.to_bytes(s, "little")) for (o, s), v in zip(FIELDS[:6], payload(number, lap), strict=False)
            ]
            stores += [(at + o, bytes(4)) for o in self._draw.sample(range(0, 28, 4), 3) if self._draw.random() < 0.3]
            self._draw.shuffle(stores)
            final = {
                at + o: v.to_bytes(s, "little") for (o, s), v in zip(FIELDS[:6], payload(number, lap), strict=False)
            }
            for where, data in [*stores, *final.items()]:
                self.memory[where : where + len(data)] = data
                yield True
            self.memory[at + 28 : at + 32] = lap.to_bytes(4, "little")
            yield True


class Watched(Slots):
    """Shared memory that the writer goes on writing between any two words that are loaded from it."""

    def __init__(self, writer: Played, draw: random.Random, burst: int) -> None:
        super().__init__(writer.memory)
        self._writer = writer
        self._draw = draw
        self._burst = burst

    def begins(self, first: int, last: int) -> Marks:
        return self._marks(0, 2, first, last)

    def ends(self, first: int, last: int) -> Marks:
        return self._marks(28, 4, first, last)

    def copy(self, first: int, last: int) -> Records:
        words = list(range(first * 4, last * 4))
        if self._draw.random() < 0.5:
            words.reverse()
        out = bytearray((last - first) * RECORD_BYTES)
        for word in words:
            self._go_on()
            at = (word - first * 4) * 8
            out[at : at + 8] = self._writer.memory[word * 8 : word * 8 + 8]
        return np.frombuffer(bytes(out), DTYPE).copy()

    def _marks(self, offset: int, size: int, first: int, last: int) -> Marks:
        out = np.zeros(last - first, np.uint32)
        for slot in range(first, last):
            self._go_on()
            at = slot * RECORD_BYTES + offset
            out[slot - first] = int.from_bytes(self._writer.memory[at : at + size], "little")
        return out

    def _go_on(self) -> None:
        if self._draw.random() < 0.3:
            self._writer.step(self._draw.randint(0, self._burst))


def torn(first: int, records: Records) -> list[int]:
    """The numbers of records that are not wholly the ones they should be."""
    names = ("what", "track", "timestamp_ns", "value", "mem_reserved_peak_kb")
    want = [payload(first + i, 1)[1:6] for i in range(len(records))]
    got = [tuple(int(r[f]) for f in names) for r in records]
    return [first + i for i, (a, b) in enumerate(zip(want, got, strict=True)) if a != b]


def played(
    seed: int, slots: int, total: int, burst: int, reader: type[Reader], *, ordered: bool, mishaps: bool
) -> tuple[list[int], list[int], Reader, Played]:
    """Numbers read, numbers torn, and both sides after the writer has stopped."""
    draw = random.Random(seed)
    writer = Played(slots, total, draw, ordered=ordered, mishaps=mishaps)
    reading = reader(Watched(writer, draw, burst), keeps_order=ordered)
    pieces = []
    while writer.reserved < total:
        pieces += reading.poll()
        writer.step(draw.randint(0, burst))
    pieces += reading.poll()
    writer.finish()
    pieces += reading.finish(writer.reserved)
    numbers = [first + i for first, records in pieces for i in range(len(records))]
    return numbers, [n for first, records in pieces for n in torn(first, records)], reading, writer


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32), slots=st.sampled_from([1, 2, 4, 8, 16]), total=st.integers(0, 120),
    burst=st.sampled_from([1, 5, 20, 100, 400]), ordered=st.booleans(), mishaps=st.booleans(),
)  # fmt: skip
def test_every_record_is_read_in_order_or_counted_and_none_is_torn(
    seed: int, slots: int, total: int, burst: int, ordered: bool, mishaps: bool
) -> None:
    numbers, mixed, reader, writer = played(seed, slots, total, burst, Reader, ordered=ordered, mishaps=mishaps)
    assert mixed == []
    assert numbers == sorted(set(numbers))
    assert len(numbers) + reader.dropped == writer.reserved == total


class Trusting(Reader):
    """Takes what it copied without a second look."""

    def _take(self, ready: int) -> list[tuple[int, Records]]:
        slot, _ = self._place()
        first, self.next = self.next, self.next + ready
        return [(first, self._slots.copy(slot, slot + ready))]


class HalfTrusting(Reader):
    """Looks again at the end of a record only, as if clearing it began there."""

    def _take(self, ready: int) -> list[tuple[int, Records]]:
        slot, lap = self._place()
        copied = self._slots.copy(slot, slot + ready)
        good = self._slots.ends(slot, slot + ready) == lap
        first, self.next = self.next, self.next + ready
        return [(first + i, copied[i : i + 1]) for i in range(ready) if good[i]]


@pytest.mark.parametrize("reader", [Trusting, HalfTrusting])
def test_the_played_writer_tears_what_a_less_careful_reader_takes(reader: type[Reader]) -> None:
    found = [played(seed, 4, 100, 20, reader, ordered=True, mishaps=False)[1] for seed in range(200)]
    assert any(found)


def test_a_hole_costs_one_record_and_not_the_rest() -> None:
    memory = bytearray(8 * RECORD_BYTES)
    for number in (0, 1, 3, 4):  # 2 was reserved and never written
        RECORD.pack_into(memory, number * RECORD_BYTES, *payload(number, 1))
    reader = Reader(Slots(memory))
    seen = [n + i for _ in range(3) for n, records in reader.poll() for i in range(len(records))]
    assert (seen, reader.dropped, reader.next) == ([0, 1, 3, 4], 1, 5)


def test_a_ring_goes_on_past_the_laps_that_begin_can_count() -> None:
    assert [mark(lap) for lap in (1, 65_535, 65_536, 131_071)] == [1, 65_535, 1, 1]
    ring = Ring(0, mmap.mmap(-1, 8 * RECORD_BYTES))
    memory = bytearray(8 * RECORD_BYTES)
    reader, first = Reader(Slots(memory)), 8 * 65_533
    ring.lap, ring.mark, reader.next = 65_534, 65_534, first
    for number in range(first, first + 32):
        ring.at = at = ring.at + RECORD_BYTES
        if at >= ring.size:
            ring.turn()
        RECORD.pack_into(memory, number % 8 * RECORD_BYTES, ring.mark, *payload(number, ring.lap)[1:])
        ((place, records),) = reader.poll()
        assert (place, len(records), torn(place, records)) == (number, 1, [])
    assert (ring.lap, ring.mark, reader.dropped) == (65_537, 2, 0)


def test_pack_into_clears_the_record_and_then_stores_its_fields_in_order() -> None:
    """What the protocol takes CPython to do, seen from inside: each value looks at memory when its turn comes."""
    memory = bytearray(b"\xff" * RECORD_BYTES)
    seen: list[bytes] = []

    class Value:
        def __index__(self) -> int:
            seen.append(bytes(memory))
            return 0x7F7F

    RECORD.pack_into(memory, 0, *(Value() for _ in FIELDS))
    for turn, snapshot in enumerate(seen):
        for number, (offset, size) in enumerate(FIELDS):
            stored = snapshot[offset : offset + size]
            assert stored == (0x7F7F.to_bytes(size, "little") if number < turn else bytes(size))


def test_the_fenced_write_leaves_the_same_record() -> None:
    plain, fenced = bytearray(64), bytearray(64)
    RECORD.pack_into(plain, 32, 3, 9, -1, 5, 6, 7, 3)
    write_fenced(fenced, 32, 3, 9, -1, 5, 6, 7, 3)  # type: ignore[arg-type]  # any buffer will do
    assert fenced == plain


def test_the_record_is_what_numpy_reads() -> None:
    assert DTYPE.itemsize == RECORD.size == RECORD_BYTES
    data = RECORD.pack(1, 2**16 - 1, -1, 2**63, 2**64 - 1, 2**32 - 1, 1)
    assert np.frombuffer(data, DTYPE)[0].tolist() == (1, 2**16 - 1, -1, 2**63, 2**64 - 1, 2**32 - 1, 1)


@given(events=st.integers(0, 40))
def test_the_writer_knows_how_much_it_wrote_across_turns(events: int) -> None:
    ring = Ring(0, mmap.mmap(-1, 8 * RECORD_BYTES))  # quarters of two records
    for _ in range(events):
        ring.at = at = ring.at + RECORD_BYTES
        if at >= ring.size:
            ring.turn()
    assert ring.written == events
