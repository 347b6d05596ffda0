"""Every figure computed again from the rows.

Resampling is seeded, so where the processor, Python, NumPy and SciPy are the run's, everything must be the same to the
last digit. Elsewhere sums may be added in another order and the generator may draw other numbers: values must then
agree to a billionth, and the ends of intervals to 4 % of the interval's width: with the 2,000 resamples that the
smallest of ours take, an end's own standard error is about 1.5 % of it.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from fourways import figures
from fourways.core.figure import Figure, Summary
from fourways.core.rows import AnswerRow, Row
from fourways.core.run import Environment, RunHeader
from fourways.core.run_files import STATEMENT_FILE, SUMMARY_FILE
from fourways.evidence.environment import cpu_model
from fourways.evidence.environment.machine import Machine
from fourways.evidence.statement import Statement, Tolerances
from fourways.evidence.verify.contract import Check, check

_COUNT = ("numpy", "scipy")
_COMPUTED = frozenset({"p", "p (Holm)", "sees", "1 pp needs"})
"""Labels that hold numbers which resampling or rounding moves."""
_NUMBER = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?")


def check_figures(header: RunHeader, summary: Summary, statement: Statement, rows: Iterable[Row]) -> Check:
    """Raises what `rows` raises."""
    judged = _Judged(rows)
    computed = figures.compute(judged, header.suite)
    other = _elsewhere(header, judged.seen)
    reasons = _definitions(header, summary, statement)
    reasons += _differences(summary.figures, computed, Tolerances() if other else None)
    exact = sum(old == new for old, new in zip(summary.figures, computed, strict=False))
    what = f"{len(summary.figures):,} figures computed again from the rows: {exact:,} the same to the last digit"
    remarks = [] if other is None or exact == len(computed) else [other]
    return check("figures", what, reasons, (*remarks, *_reworded(statement)))


class _Judged:
    """The rows, and whether a judge has read any: figures were then made anew, on a machine that nobody names."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.seen = False

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.seen = self.seen or (isinstance(row, AnswerRow) and row.judged is not None)
            yield row


def _definitions(header: RunHeader, summary: Summary, statement: Statement) -> list[str]:
    """The statement says what each figure is, and this version must know how to compute it."""
    said = statement.predicate.definitions
    used = {figure.definition for figure in summary.figures}
    reasons = [f"{STATEMENT_FILE}: it defines {name}, which no figure is" for name in sorted(said.keys() - used)]
    for name in sorted(used):
        if name not in figures.TEXTS:
            reasons.append(
                f"{SUMMARY_FILE}: this version does not compute {name}; verify with Fourways {header.source.version}, "
                "which made the run"
            )
        elif name not in said:
            reasons.append(f"{STATEMENT_FILE}: it does not say what {name} is")
    return reasons


def _reworded(statement: Statement) -> list[str]:
    """Definitions of one version may be put in better words later; the signer answers for those in the statement."""
    said = statement.predicate.definitions
    other = [name for name in said if name in figures.TEXTS and said[name] != figures.TEXTS[name]]
    return [f"{STATEMENT_FILE} puts {', '.join(other)} in other words than this version"] if other else []


def _differences(old: tuple[Figure, ...], new: tuple[Figure, ...], allowed: Tolerances | None) -> Iterator[str]:
    if len(old) != len(new):
        yield f"{SUMMARY_FILE}: it has {len(old):,} figures, and the rows give {len(new):,}"
    for number, (published, computed) in enumerate(zip(old, new, strict=False), 1):
        if (field := _unlike(published, computed, allowed)) is not None:
            found, expected = getattr(published, field), getattr(computed, field)
            name = f"{SUMMARY_FILE}, figure {number} ({_name(published)})"
            yield f"{name}: {field} is {found}, and the rows give {expected}"


def _name(figure: Figure) -> str:
    return " ".join((figure.candidate, figure.metric, *(f"{name}={text}" for name, text in figure.labels.items())))


def _unlike(published: Figure, computed: Figure, allowed: Tolerances | None) -> str | None:
    """The first field that differs by more than is allowed (None: at all); None if there is none."""
    if published == computed:
        return None
    width = 0.0 if computed.low is None or computed.high is None else computed.high - computed.low
    value = allowed.value_elsewhere * abs(computed.value or 0.0) if allowed else 0.0
    end = max(value, allowed.interval_elsewhere * width) if allowed else 0.0
    within = {"value": value, "low": end, "high": end}
    for field in Figure.__struct_fields__:
        one, other = getattr(published, field), getattr(computed, field)
        if allowed and field == "labels":
            one, other = _masked(one), _masked(other)
        if one != other and not _close(one, other, within.get(field)):
            return field
    return None


def _close(one: object, other: object, within: float | None) -> bool:
    return within is not None and isinstance(one, float) and isinstance(other, float) and abs(one - other) <= within


def _masked(labels: dict[str, str]) -> dict[str, str]:
    return {name: _NUMBER.sub("#", text) if name in _COMPUTED else text for name, text in labels.items()}


def _elsewhere(header: RunHeader, judged: bool) -> str | None:
    """Why numbers need not be the same to the last digit here; None where they must."""
    if header.parts:
        return "the run was merged from shards, maybe on another machine, so last digits may differ"
    if judged:
        return "a judge read replies later, maybe on another machine, so last digits may differ"
    there = header.environment
    unlike = [f"{name} {old} → {new}" for name, old, new in _conditions(there) if old != new]
    return f"this is not where the run was made, so last digits may differ: {', '.join(unlike)}" if unlike else None


def _conditions(there: Environment) -> Iterator[tuple[str, str, str]]:
    yield "processor", there.cpu, cpu_model(Machine())
    yield "Python", there.python, platform.python_version()
    for package in _COUNT:
        yield package, there.packages.get(package, "none"), version(package)
