"""What is said around a run that is made again: how long it takes, whether the machine is busy, and how to go on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from fourways.compare.axes import AXES
from fourways.compare.job import Job, settings_of
from fourways.compare.outcome import Interrupted
from fourways.core.figure import Axis
from fourways.core.run import Reading, RunHeader
from fourways.core.run_files import ROWS_FILE, SUMMARY_FILE
from fourways.evidence.environment.catalogue import readings

_BUSY = frozenset({"system.load", "system.pressure"})
_BELIEVED = (0.2, 100.0)
"""Times the seconds that a run should take: what lies beyond tells of files that were copied, or of a rest between."""


def seconds_taken(run: Path, header: RunHeader) -> float:
    """From the start of a run to its figures, as far as its files tell."""
    return (run / SUMMARY_FILE).stat().st_mtime - datetime.fromisoformat(header.started).timestamp()


def opening(took: float, whole: Job, job: Job, starts: int, out: Path) -> Iterator[str]:
    """Lines before the first start. took: seconds of the old run; whole: all that it was asked for; job: what is run
    again of it."""
    foreseen = {name: AXES[name].estimate(whole.candidates, settings_of(whole, Path()))[1] for name in whole.axes}
    yield f"{starts} {'start' if starts == 1 else 'starts'}, {_how_long(took, foreseen, job.axes, starts)}, into {out}"
    if "latency" in job.axes and (busy := busyness(readings())) is not None:
        yield f'this machine is busy ({busy}): it takes longer, and latency is likely to be "not comparable"'


def busyness(seen: Sequence[Reading]) -> str | None:
    """What else the machine does, None where nothing was seen."""
    told = [one.advice for one in seen if one.knob in _BUSY and one.advice is not None]
    return "; ".join(told) or None


def stopped(run: Path, folders: Sequence[Path], starts: int) -> Interrupted:
    """The commands in full that go on and then judge. folders: of the starts so far, the one that was stopped last."""
    *done, last = folders
    begun = (last / ROWS_FILE).exists()
    judged = [*done, last] if begun else done
    if not judged:
        return Interrupted("stopped before anything was measured")
    judge = shlex.join(["fourways", "reproduce", str(run), *(f"--rerun={one}" for one in judged)])
    of = "" if len(judged) == starts else f" (by {len(judged)} of {starts} starts)"
    if not begun:
        return Interrupted(f"stopped; judge what is there{of}: {judge}")
    go_on = shlex.join(["fourways", "compare", "--resume", str(last)])
    return Interrupted(f"stopped; go on with: {go_on}", hint=f"then judge it{of}: {judge}")


def _how_long(took: float, foreseen: Mapping[Axis, float], axes: Sequence[Axis], starts: int) -> str:
    """As long as the old run took, where that can be believed; else at the pace of the embedded models."""
    total = sum(foreseen.values())
    needed = sum(foreseen[name] for name in axes) + (starts - 1) * foreseen.get("latency", 0.0)
    low, high = _BELIEVED
    if not low * total < took < high * total:
        return f"about {_minutes(needed)} at the pace of the embedded models on two cores"
    return f"about {_minutes(needed * took / total)} (the old run took {_minutes(took)})"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
