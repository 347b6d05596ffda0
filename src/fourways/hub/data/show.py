"""What goes on, told to whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Show(Protocol):
    """begin: a piece of work starts; total: bytes, None if not known. at: so many of them are done. note: one line."""

    def begin(self, what: str, total: int | None) -> None: ...

    def at(self, done: int) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """Shows nothing."""

    def begin(self, what: str, total: int | None) -> None: ...

    def at(self, done: int) -> None: ...

    def note(self, text: str) -> None: ...
