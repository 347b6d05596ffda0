"""Which samples the page shows: those that tell candidates apart first. The same run always gives the same samples,
whatever the order of its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from fourways.report.answers import Answers, Asked, Board, Booleans, any_of, board

Key = tuple[str, str]
"""Benchmark and sample."""
MOST_SAMPLES = 240
MOST_UNREAD = 72
_WAITING = 300
"""No queue of one benchmark is longer: the page shows fewer in all."""
_EACH_PAIR = 6


def choose(answers: Answers, most: int = MOST_SAMPLES) -> list[Key]:
    """The samples to show, in the order in which to drop them last: a few for every two candidates of whom one is right
    and the other wrong, a few with unread replies, then where candidates disagree up to two thirds, then where none is
    right and where all are. Benchmarks take turns, and a new picture goes before one that is shown already."""
    queues = _Queues(answers)
    names = sorted({name for asked in answers.asked.values() for name in asked.by_candidate})
    pairs = list(permutations(names, 2))
    taken = _Taken(queues)
    for pair in pairs:
        taken.up_to(queues.of(pair), min(_EACH_PAIR, max(1, most // 2 // len(pairs))), most)
    taken.up_to(queues.of("unread"), most // 8, most)
    taken.up_to(queues.of("disagree"), most * 2 // 3, most)
    for kind in ("wrong", "right"):
        taken.up_to(queues.of(kind), most // 6, most)
    for kind in ("disagree", "wrong", "right", "rest"):
        taken.up_to(queues.of(kind), most, most)
    return taken.keys


def choose_unread(answers: Answers, most: int = MOST_UNREAD) -> list[tuple[str, Key]]:
    """Replies that no rule could read, as (candidate, (benchmark, sample)): candidates and benchmarks in turn."""
    waiting: dict[tuple[str, str], list[str]] = {}
    for benchmark, asked in answers.asked.items():
        order = _order(benchmark, asked)
        held = board(asked)
        for row, name in enumerate(held.names):
            places = _first(order, held.unread[row], most)
            if places:
                waiting[name, benchmark] = [asked.samples[place] for place in places]
    found: list[tuple[str, Key]] = []
    for round_ in range(most):
        turn = [(name, (benchmark, w[round_])) for (name, benchmark), w in waiting.items() if len(w) > round_]
        if not turn or len(found) >= most:
            break
        found += turn[: most - len(found)]
    return found


@dataclass(slots=True)
class _Queues:
    """kind or (right, wrong) pair → benchmark → places, in a fixed shuffled order."""

    answers: Answers
    _found: dict[object, dict[str, list[int]]] = field(init=False)

    def __post_init__(self) -> None:
        self._found = defaultdict(dict)
        for benchmark, asked in self.answers.asked.items():
            order = _order(benchmark, asked)
            for what, mask in _masks(board(asked)):
                if places := _first(order, mask, _WAITING):
                    self._found[what][benchmark] = places

    def of(self, what: object) -> Mapping[str, list[int]]:
        found = self._found.get(what, {})
        return {benchmark: found[benchmark] for benchmark in sorted(found)}


@dataclass(slots=True)
class _Taken:
    """What has been chosen so far."""

    queues: _Queues
    keys: list[Key] = field(default_factory=list)
    _places: set[tuple[str, int]] = field(default_factory=set)
    _images: set[int] = field(default_factory=set)

    def up_to(self, queues: Mapping[str, Sequence[int]], share: int, most: int) -> None:
        """Takes from the queues until `share` of what stood in them is chosen, or `most` are chosen in all."""
        have = sum((benchmark, place) in self._places for benchmark, queue in queues.items() for place in queue)
        waiting = {b: [place for place in queue if (b, place) not in self._places] for b, queue in queues.items()}
        while have < share and len(self.keys) < most and any(waiting.values()):
            for benchmark, queue in waiting.items():
                if queue and have < share and len(self.keys) < most:
                    self._take(benchmark, queue)
                    have += 1

    def _take(self, benchmark: str, queue: list[int]) -> None:
        asked = self.queues.answers.asked[benchmark]
        at = next((i for i, place in enumerate(queue) if asked.images[place] not in self._images), 0)
        place = queue.pop(at)
        self._images.add(asked.images[place])
        self._places.add((benchmark, place))
        self.keys.append((benchmark, asked.samples[place]))


def _masks(held: Board) -> Iterator[tuple[object, Booleans]]:
    everyone = any_of(held.asked)
    agree = everyone & ~held.differ
    full = ~any_of(held.asked & ~held.right)
    yield "disagree", everyone & held.differ
    yield "right", agree & held.public & full
    yield "wrong", agree & held.public & ~full
    yield "rest", agree & ~held.public
    yield "unread", any_of(held.unread)
    for i, j in permutations(range(len(held.names)), 2):
        yield (held.names[i], held.names[j]), held.right[i] & held.wrong[j]


def _order(benchmark: str, asked: Asked) -> NDArray[np.uint64]:
    """A rank for each place that depends on the sample's name alone."""
    digests = (_hash(benchmark, sample) for sample in asked.places)
    return np.fromiter(digests, dtype=np.uint64, count=len(asked.places))


def _hash(benchmark: str, sample: str) -> int:
    text = f"{benchmark}\0{sample}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def _first(order: NDArray[np.uint64], mask: Booleans, most: int) -> list[int]:
    places = np.flatnonzero(mask)
    return [int(place) for place in places[np.argsort(order[places], kind="stable")[:most]]]
