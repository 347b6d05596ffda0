"""What a person sees while data is pulled: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

_LINE_EVERY_S = 10.0


class Bars:
    """One bar for each piece of work, on a terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", table_column=Column(width=28, no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=14),
            DownloadColumn(binary_units=True, table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        )
        self._progress = Progress(*columns, console=console, refresh_per_second=4)
        self._tasks: dict[str, TaskID] = {}
        self._now: TaskID | None = None
        self._progress.start()

    def begin(self, what: str, total: int | None) -> None:
        self._end()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._now = self._tasks[what]
        self._progress.update(self._now, total=total)

    def at(self, done: int) -> None:
        if self._now is not None:
            self._progress.update(self._now, completed=done)

    def note(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._end()
        self._progress.stop()

    def _end(self) -> None:
        """A piece of unknown length is full once the next begins."""
        if self._now is not None:
            task = self._progress.tasks[self._progress.task_ids.index(self._now)]
            if task.total is None:
                self._progress.update(self._now, total=task.completed)


class Lines:
    """Plain lines: the beginning of each piece of work, and one every ten seconds of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = time.monotonic()
        self._what, self._total = "", 0

    def begin(self, what: str, total: int | None) -> None:
        if what != self._what:
            self.note(f"{what} {in_words(total)}" if total else what)
        self._what, self._total, self._said_at = what, total or 0, time.monotonic()

    def at(self, done: int) -> None:
        if time.monotonic() - self._said_at >= _LINE_EVERY_S:
            self._said_at = time.monotonic()
            of = f" of {in_words(self._total)}" if self._total else ""
            self.note(f"  {self._what}: {in_words(done)}{of}")

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def close(self) -> None: ...


def show_on(console: Console) -> Bars | Lines:
    """Bars where the console is a terminal, else lines."""
    return Bars(console) if console.is_terminal else Lines(console)


def in_words(size: int) -> str:
    """Bytes for a person, in binary units."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
