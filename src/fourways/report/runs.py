"""A/B: each run's median as a dot, and what the test of those medians says."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fourways import figures
from fourways.core.figure import Figure
from fourways.figures.requests import Setting
from fourways.figures.restarts import run_median
from fourways.report.bars import Crowd, crowds
from fourways.report.facts import Facts
from fourways.report.markup import Child, Html, join, tag
from fourways.report.numbers import scale_for, show
from fourways.report.plot import panels
from fourways.report.tables import cell, defined, folded, stacked
from fourways.report.timing import words

_ENDING = "_run_difference"
_DRAWN = ("ttft", "e2e")
MOST_LOADS = 6
"""Of which dots are drawn; the table has all."""
_SAID = (
    "Requests of one run resemble each other, so what is compared is one number of each run: its median, a dot. The "
    "difference is that of the mean of the first's dots and the mean of the second's."
)


def section(found: Sequence[Figure], facts: Facts, names: Sequence[str], settings: Sequence[Setting]) -> list[Html]:
    """found: the figures of the latency axis. Empty where nothing was compared."""
    tested = [f for f in found if f.metric.endswith(_ENDING)]
    if not tested:
        return []
    rows: list[Sequence[Child]] = []
    for f in tested:
        shown = show(f)
        verdict = f.labels.get("verdict") or f.reason or ""
        pair = f"{f.candidate} \N{MINUS SIGN} {f.labels['versus']}"
        number = cell(shown) if f.status == "ok" else tag("span", f"n = {f.n} {f.n_unit}", class_="n")
        rows.append((tag("bdi", pair), _sent(f, settings), _time(f), number, verdict))
    kinds = ", ".join(dict.fromkeys(f.labels["runs"] for f in tested))
    heads = ("difference", "sent", "time", "#of run medians", "what it says")
    drawn = [
        _panel(time, setting, facts, names)
        for setting in settings[:MOST_LOADS]
        for time in _DRAWN
        if any((name, setting, time) in facts.runs for name in names)
    ]
    return [
        tag("h3", defined(f"Run against run ({kinds})", tested[0].definition, figures.TEXTS)),
        tag("p", _SAID),
        panels(*drawn),
        folded("Every comparison", stacked("Every comparison", heads, rows), len(rows)),
    ]


def _panel(time: str, setting: Setting, facts: Facts, names: Sequence[str]) -> Html:
    content, said = [], []
    for i, name in enumerate(names):
        medians = [run_median(values) for values in facts.runs.get((name, setting, time), {}).values()]
        if not medians:
            continue
        known = [m for m in medians if math.isfinite(m)]
        scale = scale_for("ms", max(known, default=1.0))
        failed = len(medians) - len(known)
        told = f"{len(medians)} runs" + (f", {failed} of them failed" if failed else "")
        content.append(Crowd(i, name, told, known))
        said.append(f"{name}: {', '.join(scale.full(m) for m in known)}; {told}")
    title = join([f"{time} p50 of each run (ms), ", words(setting)])
    return crowds(title, content, about="; ".join(said))


def _time(f: Figure) -> str:
    return f.metric.removesuffix(_ENDING)


def _sent(f: Figure, settings: Sequence[Setting]) -> str:
    return next((words(one) for one in settings if one.labels.items() <= f.labels.items()), "")
