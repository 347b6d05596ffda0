"""`ttft_p95=500ms,tpot_p95=50ms,failures=1%` → objectives."""

from __future__ import annotations

import re
from typing import cast

from fourways.core.durations import milliseconds
from fourways.core.errors import UserError
from fourways.core.objective import Objective, ObjectiveMetric

_TIME = re.compile(r"(ttft|e2e|tpot)_p(\d{1,2}(?:\.\d+)?)\s*(?:<=|=|<)(.+)")
_FAILURES = re.compile(r"failures\s*(?:<=|=|<)\s*(\d+(?:\.\d*)?|\.\d+)\s*%")
_EXAMPLE = "for example: --slo ttft_p95=500ms,tpot_p95=50ms,e2e_p99=2s,failures=1%"


def parse_slo(text: str) -> tuple[Objective, ...]:
    """The objectives in the order written. Raises UserError naming the part that cannot be read, or that stands twice.

    Quantiles from p50 up (of a lower one "at most" says nothing), times in ms or s, failures in percent."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UserError("--slo names no objective", hint=_EXAMPLE)
    objectives = tuple(_objective(part) for part in parts)
    named = [(one.metric, one.allowed) for one in objectives]
    if twice := next((one for one in objectives if named.count((one.metric, one.allowed)) > 1), None):
        raise UserError(f"--slo names {twice.label.partition('=')[0]} twice")
    return objectives


def _objective(part: str) -> Objective:
    if found := _FAILURES.fullmatch(part):
        share = float(found[1]) / 100
        if not 0 < share < 1:
            raise UserError(f"--slo: {part!r}: between 0 and 100 %, without the ends", hint=_EXAMPLE)
        return Objective("failures", share)
    found = _TIME.fullmatch(part)
    try:
        limit = milliseconds(found[3]) if found is not None else None
    except ValueError:
        limit = None
    if found is None or limit is None:
        raise UserError(f"--slo: {part!r} is no objective", hint=_EXAMPLE)
    quantile = float(found[2])
    if quantile < 50 or limit <= 0:
        raise UserError(f"--slo: {part!r}: it needs a quantile from p50 on, and a time above 0", hint=_EXAMPLE)
    return Objective(cast("ObjectiveMetric", found[1]), round(1 - quantile / 100, 9), limit)
