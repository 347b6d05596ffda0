"""What every axis's tally can say once all rows were seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Tally(Protocol):
    def missing(self, candidate: str) -> Iterator[str]:
        """What is missing of a candidate that is finished and was not lost."""

    def remarks(self) -> Iterator[str]:
        """What could not be looked at, and why."""
