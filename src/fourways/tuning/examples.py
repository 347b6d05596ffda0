"""What is learned from: a conversation that ends with the user, and the answer to learn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fourways.core.conversation import Conversation, Text


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled question. id: unique in its set. answer: without any control token; the end token is added."""

    id: str
    conversation: Conversation
    answer: str


def data_sha256(examples: Sequence[Example]) -> str:
    """Digest of a set in its order: ids, roles, texts, the media files' own digests, answers. Hexadecimal."""
    digest = hashlib.sha256()
    for example in examples:
        for piece in _pieces(example):
            encoded = piece.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def _pieces(example: Example) -> list[str]:
    pieces = [example.id]
    for turn in example.conversation.turns:
        pieces.append(f"turn {turn.role}")
        pieces += [f"text {p.text}" if isinstance(p, Text) else f"file {p.source_sha256}" for p in turn.parts]
    return [*pieces, f"answer {example.answer}"]
