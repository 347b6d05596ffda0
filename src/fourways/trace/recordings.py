"""A recording from its first event to trace.json: starts the reader's process, and ends with its counts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fourways
from fourways.core.clock import host_clock
from fourways.core.errors import FourwaysError, UserError
from fourways.core.run import ClockRecord
from fourways.core.run_files import TRACE_FILE
from fourways.trace import chrome, recorder, shared, spool
from fourways.trace.messages import Counts, Started, Stopped, decode, encode
from fourways.trace.session import RING_BYTES, Session


class Recording:
    """One recording. clock: goes into the trace, if a device's was laid on the host's; None: the host's alone stamps.
    counts: what became of the events, once the recording has ended. path: the trace, then."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / TRACE_FILE
        self.clock: ClockRecord | None = None
        self.counts: Counts | None = None


@contextmanager
def recording(folder: str | os.PathLike[str], *, share: float = 1.0, seed: int = 0) -> Iterator[Recording]:
    """Events of this block, of all threads, go to folder/trace.json, in the form that Perfetto and Chrome read.

    share: the part of requests, in [0, 1], for which `track` gives a number; the seed and each label decide which.
    Whatever kills the program, what was read until then is in the folder, and in trace.json once the reader, a process
    of its own, has noticed. Raises UserError for a share out of range, if something records already or if the folder
    has a trace; FourwaysError if no reader can be started.
    """
    folder = Path(folder)
    _check(folder, share)
    folder.mkdir(parents=True, exist_ok=True)
    (ours, theirs), (bell, their_bell) = shared.pair(), shared.pair()
    with ours, bell:
        with theirs, their_bell:
            reader = _start_reader(theirs, their_bell, folder)
        _wait_for(reader, ours, folder)
        ours.setblocking(False)
        bell.setblocking(False)
        session = Session(ours, bell, share=share, seed=seed, ring_bytes=RING_BYTES)
        session.tell(Started(os.getpid(), time.perf_counter_ns(), time.time_ns(), Path(sys.argv[0]).name))
        made = Recording(folder)
        recorder.start(session)
        try:
            yield made
        finally:
            if recorder.active() is session:  # a forked child that leaves the block has none, and nothing to end
                recorder.stop()
                made.counts = _end(session, reader, folder, made.clock or host_clock())


def _check(folder: Path, share: float) -> None:
    if not 0 <= share <= 1:
        raise UserError(f"the share of requests to trace is within 0 and 1, not {share}")
    if recorder.active() is not None:
        raise UserError("a trace is being recorded already", hint="end that one first: a process has one at a time")
    if (folder / TRACE_FILE).exists():
        raise UserError(f"{folder} has a {TRACE_FILE} already", hint="name another folder, or move it away")
    if spool.present(folder):
        raise UserError(
            f"{folder} holds a recording that was never finished",
            hint="fourways.trace.recover(folder) makes its trace.json",
        )


def _start_reader(line: socket.socket, bell: socket.socket, folder: Path) -> subprocess.Popen[bytes]:
    package = str(Path(fourways.__file__).parents[1])
    paths = [package, os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"}
    lines = line.fileno(), bell.fileno()
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "fourways.trace.drain", *map(str, (*lines, folder.absolute()))],
            pass_fds=lines, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise FourwaysError(f"the trace's reader could not be started: {error.strerror or error}") from error


def _wait_for(reader: subprocess.Popen[bytes], line: socket.socket, folder: Path) -> None:
    """What happens before the reader is there could be overwritten unread."""
    try:
        said = line.recv(1 << 10)
    except OSError:
        said = b""
    if not said:
        reader.wait()
        raise FourwaysError(
            f"the trace's reader ended at its start (status {reader.returncode})",
            hint=f"its own message says why; can {folder} be written?",
        )


def _end(session: Session, reader: subprocess.Popen[bytes], folder: Path, clock: ClockRecord) -> Counts:
    """Tell the reader to finish, and wait for it. If it died, its files are made a trace here."""
    stopped = Stopped({ring.number: ring.written for ring in session.rings}, session.refused(), clock)
    line = session.line
    line.setblocking(True)
    try:
        session.flush()
        line.send(encode(stopped))
        session.wake()
        answer = decode(line.recv(1 << 16))
    except (OSError, ValueError):
        answer = None
    reader.wait()
    if isinstance(answer, Counts):
        return answer
    return _without_reader(folder, stopped)


def _without_reader(folder: Path, stopped: Stopped) -> Counts:
    if not spool.present(folder):
        raise FourwaysError(f"the trace's reader could not write to {folder}", hint="see its message above")
    events, _ = chrome.finish(folder)
    return Counts(events, sum(stopped.written.values()) + stopped.refused - events)


def recover(folder: str | os.PathLike[str]) -> Counts:
    """Make trace.json of a recording whose reader was killed too. Raises UserError if there is none."""
    events, dropped = chrome.finish(Path(folder))
    return Counts(events, dropped)
