"""What a run and its workers say to each other, whoever carries it: an order once, then chunks and their answers."""

from __future__ import annotations

import msgspec

from fourways.axes.sharing import Chunk
from fourways.compare.fingerprint import Fingerprint
from fourways.core.candidate import Candidate
from fourways.core.rows import AnswerRow
from fourways.core.run import BenchmarkRecord, CandidateRecord


class Order(msgspec.Struct, frozen=True):
    """What a worker is for. candidate: with its own device and threads. suite: where the data lies, and its digests,
    which a worker on `host` need not take again. seed: of the run."""

    candidate: Candidate
    suite: tuple[BenchmarkRecord, ...]
    seed: int
    host: str


class Asked(msgspec.Struct, frozen=True):
    """A chunk on its way to a worker, or, without one, the question what it is. number: by which the answer is
    known."""

    number: int
    chunk: Chunk | None


class Answered(msgspec.Struct, frozen=True, tag=True):
    """A whole chunk's rows, and what answered it."""

    number: int
    rows: tuple[AnswerRow, ...]
    fingerprint: Fingerprint


class Described(msgspec.Struct, frozen=True, tag=True):
    """The candidate as it stands there."""

    number: int
    record: CandidateRecord


class Complaint(msgspec.Struct, frozen=True, tag=True):
    """The worker lives, but cannot do this work at all."""

    number: int
    message: str
    hint: str | None = None


Reply = Answered | Described | Complaint


def encode(message: Order | Asked | Reply) -> bytes:
    """One line of JSON, without its end."""
    return msgspec.json.encode(message)


def decode_order(line: bytes) -> Order:
    return msgspec.json.decode(line, type=Order)


def decode_asked(line: bytes) -> Asked:
    return msgspec.json.decode(line, type=Asked)


def decode_reply(line: bytes) -> Reply:
    reply: Reply = msgspec.json.decode(line, type=Reply)
    return reply
