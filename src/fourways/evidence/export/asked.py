"""Which candidates of a run an export is of."""

from __future__ import annotations

from pathlib import Path

from fourways.core.errors import UserError
from fourways.core.run import CandidateRecord, RunHeader


def wanted(run: Path, header: RunHeader, candidate: str | None) -> list[CandidateRecord]:
    """The one of that name, or all. Raises UserError if there is none."""
    found = [record for record in header.candidates if candidate in (None, record.candidate.name)]
    if not found:
        names = ", ".join(record.candidate.name for record in header.candidates) or "none"
        raise UserError(f"{run}: no candidate is called {candidate!r}", hint=f"one of {names}")
    return found
