"""`--require 'p95<500ms,fits=24GB,acc>0.8'`: who qualifies, and why the others do not."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fourways.core.errors import UserError
from fourways.core.figure import Axis, Figure

_CLAUSE = re.compile(r"\s*([a-z0-9_@.]+)\s*(<=|>=|<|>|=)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%]*)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.le,
}
_UNITS: dict[str, tuple[str, float]] = {
    "us": ("ms", 1e-3), "ms": ("ms", 1.0), "s": ("ms", 1e3),
    "B": ("bytes", 1.0), "KB": ("bytes", 1e3), "MB": ("bytes", 1e6), "GB": ("bytes", 1e9),
    "KiB": ("bytes", 2.0**10), "MiB": ("bytes", 2.0**20), "GiB": ("bytes", 2.0**30),
    "": ("fraction", 1.0), "%": ("fraction", 0.01),
}  # fmt: skip
_ALONE = {"concurrency": "1", "cache": "warm"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a clause may name: the figure with that axis, metric and labels. unit: of the limit beside it."""

    axis: Axis
    metric: str
    unit: str
    labels: tuple[tuple[str, str], ...] = ()


def _times(metric: str) -> Subject:
    return Subject("latency", metric, "ms", tuple(_ALONE.items()))


SUBJECTS: dict[str, Subject] = {
    "acc": Subject("accuracy", "aggregate", "fraction"),
    "gain": Subject("tuning", "gain", "fraction"),
    "fits": Subject("memory", "peak_memory", "bytes"),
    "peak": Subject("memory", "peak_memory", "bytes"),
    "p50": _times("e2e_p50"),
    "p95": _times("e2e_p95"),
    **{f"{name}_{q}": _times(f"{name}_{q}") for name in ("ttft", "e2e", "tpot", "chunk_gap") for q in ("p50", "p95")},
}
"""p50 and p95 are of e2e; all times at concurrency 1 with a warm cache."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition. limit: in the subject's own unit. text: as it was written."""

    text: str
    subject: Subject
    sign: str
    limit: float

    def met(self, value: float) -> bool:
        return _COMPARE[self.sign](value, self.limit)


@dataclass(frozen=True, slots=True)
class Verdict:
    """reasons: one for each condition that is not met, empty if the candidate qualifies. unsure: conditions that are
    met by the value, but not by the whole of its interval."""

    candidate: str
    reasons: tuple[str, ...]
    unsure: tuple[str, ...]

    @property
    def qualifies(self) -> bool:
        return not self.reasons


def parse_requirements(text: str) -> tuple[Clause, ...]:
    """Conditions separated by commas: name, sign (< <= > >= or, for `fits`, =), number, unit (us ms s, B KB MB GB KiB
    MiB GiB, % or none). KB to GB are powers of ten. Raises UserError naming the condition that cannot be read."""
    return tuple(_clause(part) for part in text.split(",")) if text.strip() else ()


def _clause(text: str) -> Clause:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise UserError(
            f"--require: cannot read '{text.strip()}'", hint="Write conditions like p95<500ms,fits=24GB,acc>0.8"
        )
    name, sign, number, unit = found.groups()
    if name not in SUBJECTS:
        raise UserError(f"--require: nothing is called '{name}'", hint=f"Known: {', '.join(SUBJECTS)}.")
    if (sign == "=") != (name == "fits"):
        raise UserError(f"--require: '{text.strip()}' has the wrong sign", hint="fits takes =, all others < <= > >=.")
    subject = SUBJECTS[name]
    kind, scale = _UNITS.get(unit, ("", 0.0))
    if kind != subject.unit:
        fitting = [known or "none" for known, (of, _) in _UNITS.items() if of == subject.unit]
        raise UserError(
            f"--require: '{text.strip()}' needs a unit of {subject.unit}", hint=f"One of {', '.join(fitting)}."
        )
    return Clause(text.strip(), subject, sign, float(number) * scale)


def judge(clauses: Sequence[Clause], figures: Iterable[Figure], candidates: Sequence[str]) -> tuple[Verdict, ...]:
    """A verdict for each candidate. A figure that is missing, undefined, failed or too few meets nothing."""
    held = list(figures)
    verdicts = []
    for candidate in candidates:
        reasons, unsure = [], []
        for clause in clauses:
            found = _find(clause.subject, candidate, held)
            if found is None or found.value is None or found.status != "ok":
                reasons.append(f"{clause.text}: {_why(found)}")
            elif not clause.met(found.value):
                reasons.append(f"{clause.text}: {found.metric} is {_shown(found.value, found.unit)}")
            elif not all(clause.met(end) for end in (found.low, found.high) if end is not None):
                unsure.append(f"{clause.text}: the interval reaches {_shown(_worst(clause, found), found.unit)}")
        verdicts.append(Verdict(candidate, tuple(reasons), tuple(unsure)))
    return tuple(verdicts)


def _find(subject: Subject, candidate: str, figures: Sequence[Figure]) -> Figure | None:
    wanted = dict(subject.labels)
    return next(
        (
            figure
            for figure in figures
            if (figure.candidate, figure.axis, figure.metric) == (candidate, subject.axis, subject.metric)
            and all(figure.labels.get(name, value) == value for name, value in wanted.items())
        ),
        None,
    )


def _why(figure: Figure | None) -> str:
    if figure is None:
        return "not measured"
    status = figure.status.replace("_", " ")
    return f"{status} ({figure.reason})" if figure.reason else status


def _worst(clause: Clause, figure: Figure) -> float:
    ends = [end for end in (figure.low, figure.high) if end is not None]
    return next(end for end in ends if not clause.met(end))


def _shown(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e9:.3g} GB"
    return f"{value:.3f}" if unit == "fraction" else f"{value:.4g} {unit}"
