"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fourways.core.errors import FourwaysError
from fourways.core.failed import FailedRequests
from fourways.core.figure import Summary
from fourways.core.rows import FailureRow


class Interrupted(FourwaysError):
    """Ctrl-C: the rows so far are kept."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run. failures: whole axes and benchmarks of a candidate that were tried and broke. partly: benchmarks
    some of whose requests failed. try_again: whether a resume would try any of these again."""

    folder: Path
    report: Path
    summary: Summary
    failures: tuple[FailureRow, ...]
    partly: tuple[FailedRequests, ...]
    try_again: bool
