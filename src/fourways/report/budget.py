"""Accuracy against the visual budget: one model, asked with fewer and with more visual tokens an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fourways.core.candidate import Candidate
from fourways.core.figure import Figure
from fourways.core.run import CandidateRecord
from fourways.report.accuracy import metric_of
from fourways.report.markup import Child, Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.plot import legend, panels
from fourways.report.result import interval
from fourways.report.spots import Spot, spots
from fourways.report.tables import cell, stacked

_WORDS = (
    "Across: the visual tokens that an image really used, on average; up: accuracy, with its 95 % interval. A line "
    "joins the budgets of one model."
)
_OPEN = 3
"""So many benchmarks stand unfolded."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A candidate under its budget. tokens: mean visual tokens an image used."""

    name: str
    budget: int | None
    tokens: float
    figure: Figure


def section(m: Material) -> Html | None:
    """None where no model of the run was asked under several budgets."""
    groups = families(m.header.candidates)
    if not groups:
        return None
    whole = [[one for name in names if (one := _asked(m, name, budget_of(m, name))) is not None] for names in groups]
    known = [group for group in whole if len(group) > 1]
    if not known:
        return tag("p", "One model was asked under several budgets, but its accuracy is not known under two of them.")
    drawn = _chart(m, "All benchmarks", known)
    words = [tag("p", line) for group in known if (line := _unchanged(group))]
    beside = tag("div", *words, _table(known))
    return join([tag("p", _WORDS), legend(m.names), panels(drawn, beside, kind="pairs"), _by_benchmark(m, groups)])


def families(records: Sequence[CandidateRecord]) -> list[list[str]]:
    """Candidates that differ in their visual budget alone, two or more together."""
    groups: dict[Candidate, list[str]] = {}
    for record in records:
        same = msgspec.structs.replace(record.candidate, name="", visual_budget=None)
        groups.setdefault(same, []).append(record.candidate.name)
    budgets = {record.candidate.name: record.candidate.visual_budget for record in records}
    return [names for names in groups.values() if len({budgets[name] for name in names}) > 1]


def budget_of(m: Material, name: str) -> int | None:
    return next(r.candidate.visual_budget for r in m.header.candidates if r.candidate.name == name)


def _asked(m: Material, name: str, budget: int | None, key: str | None = None) -> Asked | None:
    figure = m.aggregates.get(name) if key is None else m.primaries.get((name, key))
    held = m.facts.answers.asked
    answered = [held[k].by_candidate.get(name) for k in ([*held] if key is None else [key]) if k in held]
    visuals = sum(one.visuals for one in answered if one is not None)
    tokens = sum(one.visual_tokens for one in answered if one is not None)
    if figure is None or figure.value is None or figure.status != "ok" or not visuals:
        return None
    return Asked(name, budget, tokens / visuals, figure)


def _chart(m: Material, title: Child, groups: Sequence[Sequence[Asked]]) -> Html:
    lines = [
        [
            Spot(m.names.index(one.name), one.name, one.tokens, one.figure.value or 0.0, interval(one.figure))
            for one in g
        ]
        for g in (sorted(group, key=lambda one: one.tokens) for group in groups)
    ]
    said = "; ".join(f"{one.name}: {one.tokens:,.1f} tokens, {show(one.figure).line}" for g in groups for one in g)
    return spots(title, lines, groups[0][0].figure.unit, x_label="visual tokens an image, mean", about=said)


def _table(groups: Sequence[Sequence[Asked]]) -> Html:
    body = [
        [
            tag("bdi", one.name),
            "the model's own" if one.budget is None else f"at most {one.budget:,}",
            f"{one.tokens:,.1f}",
            cell(show(one.figure)),
        ]
        for group in groups
        for one in group
    ]
    return stacked("Visual budgets", ("candidate", "budget", "#tokens used", "#accuracy"), body)


def _unchanged(group: Sequence[Asked]) -> str:
    if max(one.tokens for one in group) - min(one.tokens for one in group) > 1e-9:
        return ""
    names = ", ".join(one.name for one in group)
    return f"{names}: every budget was wide enough for the pictures of this run, so all used the same number of tokens."


def _by_benchmark(m: Material, groups: Sequence[Sequence[str]]) -> Html | None:
    drawn = []
    for key in m.benchmarks:
        asked = [[one for n in names if (one := _asked(m, n, budget_of(m, n), key)) is not None] for names in groups]
        known = [group for group in asked if len(group) > 1]
        if known:
            metric = metric_of({one.name: one.figure for group in known for one in group})
            drawn.append(_chart(m, join([f"{m.title(key)}: ", metric]), known))
    if not drawn:
        return None
    return tag("details", tag("summary", "Benchmark by benchmark"), panels(*drawn), open=len(drawn) <= _OPEN)
