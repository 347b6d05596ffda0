"""A question with its pictures, from wherever it comes: what a load can be drawn from, whoever reads the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fourways.core.request import Output


@dataclass(frozen=True, slots=True)
class Question:
    """id: unique in its source. picture: identity of its pictures, equal for questions about the same ones. images:
    each reads the bytes of one file when it is called. prompt: dialect → the text that follows the pictures."""

    id: str
    picture: str
    images: tuple[Callable[[], bytes], ...] = field(repr=False)
    prompt: Callable[[str], str] = field(repr=False)
    output: Output


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions in the order of their source. name: what it is called; sha256: of its data, as it stood."""

    name: str
    sha256: str
    all: tuple[Question, ...]
