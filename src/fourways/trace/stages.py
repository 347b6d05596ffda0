"""The stages of requests out of a trace: what `Done.stages_ms` says, told by the spans."""

from __future__ import annotations

from pathlib import Path

from fourways.core.events import STAGES
from fourways.trace.reading import Timed, requests


def stages_ms(path: Path) -> dict[str, dict[str, float]]:
    """Label of a request → stage (of `core.events.STAGES`, in their order) → milliseconds, of all requests in a
    trace.json. Spans of other names are left out, and so are stages that a request has none of. Raises UserError if
    the file is no trace."""
    return {label: of_row(row) for label, row in requests(path).rows.items()}


def of_row(row: list[Timed]) -> dict[str, float]:
    """One request's."""
    spent = dict.fromkeys(STAGES, 0)
    for timed in row:
        if timed.name in spent and not timed.instant and not timed.open:
            spent[timed.name] += timed.ended_ns - timed.started_ns
    return {stage: ns / 1e6 for stage, ns in spent.items() if ns}
