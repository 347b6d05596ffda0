"""What was found in a file of answers: the answers, and everything about it that was odd."""

from __future__ import annotations

from dataclasses import dataclass, field

from fourways.benchmarks.contract import Sample
from fourways.core.boxes import BoxFormat
from fourways.core.events import VisualGeometry

_EXAMPLES = 3
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Oddity:
    """One kind of thing that a strict reader would have refused, or a careful one should know. examples: where, at
    most three."""

    what: str
    count: int
    examples: tuple[str, ...]


@dataclass(slots=True)
class Oddities:
    """Counts what is odd by kind; nothing is passed over in silence, and nothing of it ends the reading."""

    _held: dict[str, list[str]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, where: str = "", count: int = 1) -> None:
        self._counts[what] = self._counts.get(what, 0) + count
        places = self._held.setdefault(what, [])
        if where and len(places) < _EXAMPLES:
            places.append(where if len(where) <= _WIDTH else where[: _WIDTH - 1] + "…")

    def listed(self) -> tuple[Oddity, ...]:
        """In the order in which each kind was first met."""
        return tuple(Oddity(what, count, tuple(self._held[what])) for what, count in self._counts.items())


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply to a sample. visuals: the size that the model saw, where the file tells. failed: there is no reply,
    because the request ended in an error; it counts as wrong."""

    sample: Sample
    reply: str
    visuals: tuple[VisualGeometry, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Predictions:
    """form: in which of the known formats the answers were written. boxes: how boxes in them are written, where the
    file tells."""

    form: str
    answers: tuple[Answer, ...]
    oddities: Oddities
    boxes: BoxFormat | None = None
