"""What the server did, one JSON line a request, so that a client can be judged by it."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import msgspec

from fourways.core.errors import EngineError


class Served(msgspec.Struct, frozen=True):
    """One chat request. Instants are `time.perf_counter_ns()` of the server's process; on Linux all processes of a
    machine share that clock, so a client there may compare them with its own.

    number: 0, 1, … in the order of arrival. arrival_ns: when its last byte was
    read. started_ns: when it got its slot. due_ns, sent_ns: of each token, when it should have been and when it had
    been written to the socket (of the whole body, where it was not streamed). held: the client read so slowly that what
    was written waited inside the server; its sent_ns are then too early.
    outcome: "ok"; "refused" with its status; "broken" (cut on purpose); "left" (the client went away first);
    "stopped" (the server was ended first).
    """

    number: int
    model: str
    streamed: bool
    outcome: str
    status: int
    arrival_ns: int
    started_ns: int | None
    due_ns: list[int]
    sent_ns: list[int]
    prompt_tokens: int
    visual_tokens: int
    output_tokens: int
    held: bool = False


class LogWriter:
    """Appends lines to a file from a thread of its own, so that a slow disk delays nothing."""

    def __init__(self, path: Path | None) -> None:
        """path: None writes nothing. Raises OSError where it cannot be opened."""
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._encode = msgspec.json.Encoder().encode
        self._thread: threading.Thread | None = None
        self._fault: OSError | None = None
        if path is not None:
            self._file = path.open("ab", buffering=0)
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()

    def add(self, served: Served) -> None:
        if self._thread is not None:
            self._lines.put(self._encode(served) + b"\n")

    def close(self) -> None:
        """Everything is written when this returns. Raises OSError where it could not be."""
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join()
            self._file.close()
        if self._fault is not None:
            raise self._fault

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                while line and self._fault is None:
                    line = line[self._file.write(line) :]
            except OSError as error:  # a full disk: said at the end, while the server goes on
                self._fault = error


def read_log(path: Path) -> list[Served]:
    """In the order in which requests ended; a line that is still being written is left out. Raises EngineError."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    try:
        return [msgspec.json.decode(line, type=Served) for line in whole.splitlines()]
    except msgspec.DecodeError as error:
        raise EngineError(f"{path} is no log of the mock server: {error}") from None
