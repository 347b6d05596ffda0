"""Several workers on one candidate, as the accuracy axis sees them. Who they are and where they run is compare's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from fourways.axes.sharing import Chunk
from fourways.core.rows import AnswerRow


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A chunk that no worker survived, and what the last one left behind."""

    chunk: Chunk
    reason: str


class Crew(Protocol):
    """Workers that opened the same candidate, with one fingerprint of engine, weights, code and data."""

    @property
    def hands(self) -> int:
        """Chunks that are asked at once, over all workers."""

    def answers(self, chunks: Sequence[Chunk]) -> AsyncGenerator[tuple[AnswerRow, ...] | GivenUp, None]:
        """Each chunk exactly once, as they end: a row for each of its samples, or that it was given up. A chunk whose
        worker died is asked elsewhere. Raises UserError if workers are not of one fingerprint, and EngineError if they
        cannot work at all."""
