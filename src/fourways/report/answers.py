"""What the accuracy sections need of the answers, held small: some twenty bytes for each reply, never its words."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fourways.core.rows import AnswerRow

NOT_ASKED, READ, UNREAD, FAILED = range(4)
"""What became of a reply."""
_STATUS = {"ok": READ, "unparsed": UNREAD, "failed": FAILED}
_NAN = float("nan")

Booleans = NDArray[np.bool_]


@dataclass(slots=True)
class Answered:
    """One candidate's replies to one benchmark; at each sample's place its score, the digest of what was read, what
    became of it, and its mean log-probability (NaN: none).

    ranked: how many replies were chosen by likelihood: their confidence is a share among those that were offered.
    visuals, visual_tokens: sums over all pictures it was shown. judged, judge_right, judge_lost: how many unread
    replies a judge looked at, the sum of its scores, and how many of them it could not read either.
    """

    scores: array[float] = field(default_factory=lambda: array("f"))
    digests: array[int] = field(default_factory=lambda: array("I"))
    statuses: bytearray = field(default_factory=bytearray)
    logprobs: array[float] = field(default_factory=lambda: array("f"))
    ranked: int = 0
    visuals: int = 0
    visual_tokens: int = 0
    judged: int = 0
    judge_right: float = 0.0
    judge_lost: int = 0

    def put(self, place: int, row: AnswerRow) -> None:
        """A later row about the same sample takes the place of an earlier one."""
        logprob = _NAN if row.mean_logprob is None else row.mean_logprob
        if place == len(self.statuses):
            self.scores.append(row.score)
            self.digests.append(digest(row.parsed))
            self.statuses.append(_STATUS[row.status])
            self.logprobs.append(logprob)
        else:
            self._reach(place)
            self.scores[place] = row.score
            self.digests[place] = digest(row.parsed)
            self.statuses[place] = _STATUS[row.status]
            self.logprobs[place] = logprob
        for visual in row.visuals:
            self.visuals += 1
            self.visual_tokens += visual.visual_tokens
        if row.rank_logprobs is not None:
            self.ranked += 1
        if row.judged is not None:
            self.judged += 1
            self.judge_right += row.judged.score
            self.judge_lost += row.judged.parsed is None

    def _reach(self, place: int) -> None:
        """Makes room up to that place; what lies between was not asked."""
        missing = place + 1 - len(self.statuses)
        if missing > 0:
            self.scores.extend([_NAN] * missing)
            self.digests.extend([0] * missing)
            self.logprobs.extend([_NAN] * missing)
            self.statuses.extend(bytes(missing))


@dataclass(slots=True)
class Asked:
    """One benchmark. places: sample → its place. At each place: the sample, the number of its picture
    (`Answers.images`), and whether its gold answer is public."""

    places: dict[str, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    images: array[int] = field(default_factory=lambda: array("I"))
    public: bytearray = field(default_factory=bytearray)
    by_candidate: dict[str, Answered] = field(default_factory=dict)


@dataclass(slots=True)
class Answers:
    """All answers of a run. images: source_sha256 → the number it goes by."""

    asked: dict[str, Asked] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)

    def put(self, row: AnswerRow) -> None:
        asked = self.asked.get(row.benchmark)
        if asked is None:
            asked = self.asked[row.benchmark] = Asked()
        place = asked.places.get(row.sample)
        if place is None:
            place = asked.places[row.sample] = len(asked.samples)
            asked.samples.append(row.sample)
            asked.images.append(self.images.setdefault(row.image, len(self.images)))
            asked.public.append(bool(row.gold))
        answered = asked.by_candidate.get(row.candidate)
        if answered is None:
            answered = asked.by_candidate[row.candidate] = Answered()
        answered.put(place, row)

    def __len__(self) -> int:
        """How many samples were asked of anyone."""
        return sum(len(asked.places) for asked in self.asked.values())

    def boards(self) -> Iterator[tuple[str, Board]]:
        """Benchmark by benchmark."""
        for benchmark, asked in self.asked.items():
            yield benchmark, board(asked)


@dataclass(frozen=True, slots=True)
class Board:
    """A benchmark as arrays: one row a candidate (in the order of `names`), one column a sample.

    right: a full score. wrong: no score at all, and the gold answer is public. unread includes failed replies.
    """

    names: tuple[str, ...]
    asked: Booleans
    right: Booleans
    wrong: Booleans
    unread: Booleans
    differ: Booleans
    public: Booleans


def board(asked: Asked) -> Board:
    """differ (one a sample): those who were asked have different scores, or were read differently."""
    names, n = tuple(asked.by_candidate), len(asked.places)
    scores = np.full((len(names), n), np.nan, dtype=np.float32)
    digests = np.zeros((len(names), n), dtype=np.uint32)
    statuses = np.zeros((len(names), n), dtype=np.uint8)
    for i, answered in enumerate(asked.by_candidate.values()):
        known = len(answered.statuses)
        scores[i, :known] = answered.scores
        digests[i, :known] = answered.digests
        statuses[i, :known] = np.frombuffer(bytes(answered.statuses), dtype=np.uint8)
    there = statuses != NOT_ASKED
    public = np.frombuffer(bytes(asked.public), dtype=np.uint8) != 0
    return Board(
        names,
        there,
        there & public & (scores >= 1.0),
        there & public & (scores <= 0.0),
        (statuses == UNREAD) | (statuses == FAILED),
        _varies(scores, there) | _varies(digests.astype(np.float64), there),
        public,
    )


def any_of(held: Booleans) -> Booleans:
    """(candidates, samples) → (samples,): whether it is so for any candidate."""
    found: Booleans = np.logical_or.reduce(held, axis=0)
    return found


def digest(parsed: str | tuple[float, ...] | None) -> int:
    """Of what was read. Two boxes are never quite the same, so of them the score alone counts."""
    return zlib.crc32(parsed.encode("utf-8", "surrogatepass")) if isinstance(parsed, str) else parsed is None


def _varies(values: NDArray[np.floating], there: Booleans) -> Booleans:
    low = np.where(there, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(there, values, -np.inf).max(axis=0, initial=-np.inf)
    varies: Booleans = low < high
    return varies
