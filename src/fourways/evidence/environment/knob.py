"""One setting of a machine that moves measurements: what it is, how it stands, what to do about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from fourways.core.run import Reading
from fourways.evidence.environment.machine import Machine, Unread
from fourways.evidence.redact import redact

_LONGEST = 2_000
"""Characters of a value."""


class Said(NamedTuple):
    """A value as people read it, and what to do about it, None if it is well."""

    value: str
    advice: str | None = None


class Knob(ABC):
    """One setting. name: as it stands in the header."""

    name: ClassVar[str]

    @abstractmethod
    def read(self, machine: Machine) -> Said:
        """How it stands. Raises Unread with the reason where that cannot be seen."""


def take(knob: Knob, machine: Machine) -> Reading:
    """The knob's reading. Never raises: a file that holds what no kernel writes is one more reason."""
    try:
        said = knob.read(machine)
    except Unread as reason:
        return Reading(knob.name, None, unread=redact(one_line(str(reason))))
    except Exception as error:
        return Reading(knob.name, None, unread=redact(one_line(f"{type(error).__name__}: {error}")))
    return Reading(knob.name, redact(one_line(said.value)), advice=said.advice)


def one_line(text: str) -> str:
    """White space made single blanks; cut where no setting is that long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def counted(values: Iterable[str]) -> str:
    """One value if all are the same; else each with how often it stands there: `performance ×2, powersave ×6`."""
    found = Counter(values)
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{value} ×{count}" for value, count in sorted(found.items()))
