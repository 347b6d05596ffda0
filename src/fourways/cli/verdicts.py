"""How `--require` prints: who qualifies, why the others do not, and who stands on the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fourways.core.figure import Summary
from fourways.figures import Clause, Placed, Verdict, judge, pareto


def show(clauses: Sequence[Clause], summary: Summary, console: Console) -> None:
    """One line a candidate, in the order of the table above it."""
    placed = pareto(summary.figures)
    verdicts = judge(clauses, summary.figures, [one.candidate for one in placed])
    table = Table(title=f"required: {', '.join(clause.text for clause in clauses)}", title_justify="left")
    for column in ("candidate", "qualifies", "why", "Pareto front"):
        table.add_column(column, overflow="fold")
    for one, verdict in zip(placed, verdicts, strict=True):
        table.add_row(one.candidate, "no" if verdict.reasons else "yes", _why(verdict), _front(one))
    console.print(table)


def _why(verdict: Verdict) -> str:
    unsure = [f"{text}: by its value, not by the whole of its interval" for text in verdict.unsure]
    return "; ".join((*verdict.reasons, *unsure))


def _front(one: Placed) -> str:
    if not one.measured:
        return "no value to place it by"
    place = f"behind {', '.join(one.beaten_by)}" if one.beaten_by else "on it"
    return f"{place} (no value: {', '.join(one.missing)})" if one.missing else place
