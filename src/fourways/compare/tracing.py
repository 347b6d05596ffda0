"""The trace that a timed axis leaves in the run's folder, and what the header then says of it.

A trace is for looking at single requests; figures come from rows. So it holds a sample: about `TRACED` requests, drawn
by the run's seed, which keeps the file at a few megabytes. A trace that cannot be made is no reason to stop measuring:
the run goes on without it, and says why.

It grows in a folder of its own, and has its name in the run's folder only when it is whole. One that a killed process
left there belongs to rows that are set aside; it is set aside too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import msgspec

from fourways import trace
from fourways.compare.folder import RunFolder
from fourways.core.errors import FourwaysError, UserError
from fourways.core.run import TraceRecord
from fourways.core.run_files import TRACE_FILE
from fourways.trace import Counts, Recording

TRACED = 2000
INTERRUPTED = "trace.interrupted.json"
_GROWING = ".trace"


@contextmanager
def traced(folder: RunFolder, axis: str, requests: int, say: Callable[[str], None]) -> Iterator[Recording | None]:
    """What engines and clients tell in this block becomes the axis's trace. requests: about how many will be sent.
    say: is told why, if there can be none. A clock that is given to the recording goes into the header."""
    place = folder.path / _GROWING
    share = min(1.0, TRACED / max(1, requests))
    made: Recording | None = None
    closing = ExitStack()
    try:
        _set_aside(place, folder.path)
        made = closing.enter_context(trace.recording(place, share=share, seed=folder.header.seed))
    except (FourwaysError, OSError) as error:
        say(f"{axis}: no trace is recorded: {_reason(error)}")
    try:
        yield made
    finally:
        try:
            closing.close()
            if made is not None:
                _keep(folder, axis, share, made)
        except (FourwaysError, OSError) as error:
            say(f"{axis}: its trace could not be kept: {_reason(error)}")


def _keep(folder: RunFolder, axis: str, share: float, made: Recording) -> None:
    """Under the next name: where candidates that were added are measured, the first's trace stays. But traces of an
    axis that nobody has finished are of passes that were broken off, and give way."""
    header = folder.header
    begun = any(folder.finished(axis, record.candidate.name) for record in header.candidates)
    others = tuple(record for record in header.traces if begun or record.axis != axis)
    stem, _, suffix = TRACE_FILE.partition(".")
    names = (TRACE_FILE if number == 1 else f"{stem}.{number}.{suffix}" for number in count(1))
    name = next(name for name in names if name not in {record.file for record in others})
    made.path.replace(folder.path / name)
    shutil.rmtree(made.path.parent)
    counts = made.counts or Counts(0, 0)
    record = TraceRecord(axis, name, share, counts.events, counts.dropped)
    folder.rewrite(msgspec.structs.replace(header, traces=(*others, record), clock=made.clock or header.clock))


def _set_aside(place: Path, folder: Path) -> None:
    if not place.exists():
        return
    with suppress(UserError):  # there may be nothing to recover
        trace.recover(place)
    if (place / TRACE_FILE).exists():
        (place / TRACE_FILE).replace(folder / INTERRUPTED)
    shutil.rmtree(place)


def _reason(error: FourwaysError | OSError) -> str:
    return error.message if isinstance(error, FourwaysError) else error.strerror or str(error)
