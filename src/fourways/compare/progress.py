"""What a person sees while a run goes on: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import IO, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY_S = 10.0


class Show(Protocol):
    """phase: a new thing begins. step: done of total of what, and how it goes; called often."""

    def phase(self, text: str) -> None: ...

    def step(self, done: int, total: int, what: str, note: str = "") -> None: ...

    def close(self) -> None: ...


class Bars:
    """One bar for each thing that goes on, on a terminal."""

    def __init__(self, console: Console) -> None:
        what = TextColumn("{task.description:<44}", markup=False)
        note = TextColumn("{task.fields[note]}", markup=False)
        columns = (what, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), note)
        self._progress = Progress(*columns, console=console, transient=False, refresh_per_second=4)
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def phase(self, text: str) -> None:
        self._progress.console.print(text, style="bold", highlight=False)

    def step(self, done: int, total: int, what: str, note: str = "") -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, note=note)
        self._progress.update(self._tasks[what], completed=done, total=total, note=note)

    def close(self) -> None:
        self._progress.stop()


class Lines:
    """Plain lines: each phase, the end of each thing, and one every ten seconds before it."""

    def __init__(self, stream: IO[str] = sys.stderr) -> None:
        self._stream = stream
        self._said_at = time.monotonic()
        self._ended = ""

    def phase(self, text: str) -> None:
        self._say(text)

    def step(self, done: int, total: int, what: str, note: str = "") -> None:
        ended = done == total
        if (ended and what != self._ended) or time.monotonic() - self._said_at >= _LINE_EVERY_S:
            self._say(f"  {what}: {done}/{total}{f', {note}' if note else ''}")
            self._ended = what if ended else ""

    def close(self) -> None:
        self._stream.flush()

    def _say(self, text: str) -> None:
        self._said_at = time.monotonic()
        print(text, file=self._stream, flush=True)


class Silent:
    """Says nothing."""

    def phase(self, text: str) -> None: ...

    def step(self, done: int, total: int, what: str, note: str = "") -> None: ...

    def close(self) -> None: ...


def show_on(console: Console) -> Show:
    """Bars if the console is a terminal, else lines."""
    return Bars(console) if console.is_terminal else Lines(console.file)
