"""Who qualifies under the conditions of `--require`, as the run's own command line has them."""

from __future__ import annotations

from collections.abc import Sequence

from fourways import figures
from fourways.core.errors import UserError
from fourways.figures import Clause, Verdict
from fourways.report.markup import Html, join, tag
from fourways.report.material import Material
from fourways.report.tables import stacked

_OPTION = "--require"


def required(m: Material) -> Html | None:
    """None where the command that started the run has no conditions, or none that this version can read."""
    clauses = clauses_of(m.header.argv)
    if not clauses:
        return None
    verdicts = figures.judge(clauses, m.figures, m.names)
    words = ", ".join(clause.text for clause in clauses)
    lines = [(tag("bdi", v.candidate), tag("span", _said(v), class_=_kind(v)), _why(v)) for v in verdicts]
    title = tag("h3", "Who qualifies")
    table = stacked("Who qualifies", ("candidate", "qualifies", "why"), lines)
    return join([title, tag("p", f"Required: {words}."), table])


def clauses_of(argv: Sequence[str]) -> tuple[Clause, ...]:
    """The last --require of a command line, read."""
    text = None
    for i, word in enumerate(argv):
        if word == _OPTION and i + 1 < len(argv):
            text = argv[i + 1]
        elif word.startswith(f"{_OPTION}="):
            text = word.removeprefix(f"{_OPTION}=")
    try:
        return figures.parse_requirements(text or "")
    except UserError:
        return ()


def _said(verdict: Verdict) -> str:
    if not verdict.qualifies:
        return "no"
    return "yes, by the value" if verdict.unsure else "yes"


def _kind(verdict: Verdict) -> str:
    return "verdict bad" if not verdict.qualifies else "verdict part" if verdict.unsure else "verdict good"


def _why(verdict: Verdict) -> str:
    unsure = [f"{text}: by its value, not by the whole of its interval" for text in verdict.unsure]
    return "; ".join((*verdict.reasons, *unsure)) or "every condition is met by the whole of its interval"
