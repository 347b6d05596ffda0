"""Calibration: whether the answers that a candidate is sure of are right more often, and as often as it is sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourways import figures
from fourways.core.figure import Figure
from fourways.report.answers import FAILED, NOT_ASKED
from fourways.report.markup import Child, Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.plot import legend, panels
from fourways.report.spots import Bin, reliability
from fourways.report.tables import defined, grid
from fourways.stats import clustered_wilson, reliability_bins
from fourways.stats.calibration import equal_mass_bins

_METRICS = {"ece": "ECE", "rmsce_debiased": "debiased RMSCE", "brier": "Brier", "auroc": "AUROC"}
_OPEN = 2
"""So many benchmarks stand unfolded."""
_WORDS = (
    "Each mark is a bin of answers: how sure the candidate was, on average (across), and the share of them that were "
    "right, with its 95 % interval (up). On the diagonal a candidate is right as often as it is sure; below it, it is "
    "too sure. The numbers above the axis say how many answers each bin holds. Sure means the answer's mean "
    "probability a token, or, where an answer was ranked, its share among those that were offered; failed requests "
    "are left out."
)
_KINDS = {"generated": "All benchmarks", "ranked": "All benchmarks whose answers were ranked"}


def section(m: Material) -> Html | None:
    """None where no answer of the run has a confidence."""
    found = [f for f in m.of_axis("accuracy") if f.metric in _METRICS]
    held = {(n, k): told for k in m.benchmarks for n in m.names if (told := _told(m, n, k)) is not None}
    if not held:
        return None
    parts: list[Html | None] = [_table(m, found), tag("p", _WORDS), legend(m.names)]
    keys = list(dict.fromkeys(key for _, key in held))
    if len(keys) > 1:
        for kind, title in _KINDS.items():
            pooled = {name: all_ for name in m.names if (all_ := _pooled(held, name, kind)) is not None}
            parts += [tag("h3", title), _panels(m.names, pooled)] if pooled else []
    for key in keys:
        mine = {name: told for (name, benchmark), told in held.items() if benchmark == key}
        parts.append(tag("details", tag("summary", m.title(key)), _panels(m.names, mine), open=len(keys) <= _OPEN))
    return join(parts)


@dataclass(frozen=True, slots=True)
class Told:
    """Answers with a confidence: it, their score, and their picture. kind: generated or ranked."""

    confidences: NDArray[np.float64]
    scores: NDArray[np.float64]
    images: NDArray[np.uint32]
    kind: str


def _told(m: Material, name: str, key: str) -> Told | None:
    asked = m.facts.answers.asked.get(key)
    answered = None if asked is None else asked.by_candidate.get(name)
    if asked is None or answered is None:
        return None
    n = len(answered.statuses)
    confidences = np.exp(np.minimum(np.asarray(answered.logprobs, dtype=np.float64), 0.0))
    public = np.frombuffer(bytes(asked.public[:n]), dtype=np.uint8) != 0
    asked_of = np.frombuffer(bytes(answered.statuses), dtype=np.uint8)
    kept = public & np.isfinite(confidences) & (asked_of != NOT_ASKED) & (asked_of != FAILED)
    if not kept.any():
        return None
    scores = np.clip(np.asarray(answered.scores, dtype=np.float64)[kept], 0.0, 1.0)
    images = np.asarray(asked.images[:n], dtype=np.uint32)[kept]
    return Told(confidences[kept], scores, images, "ranked" if answered.ranked else "generated")


def _pooled(held: Mapping[tuple[str, str], Told], name: str, kind: str) -> Told | None:
    mine = [told for (who, _), told in held.items() if who == name and told.kind == kind]
    if not mine:
        return None
    return Told(
        np.concatenate([told.confidences for told in mine]),
        np.concatenate([told.scores for told in mine]),
        np.concatenate([told.images for told in mine]),
        kind,
    )


def bins(told: Told) -> list[Bin]:
    """By growing confidence; the same bins as those of ECE."""
    codes = equal_mass_bins(told.confidences)
    found = []
    for at, one in enumerate(reliability_bins(told.confidences, told.scores)):
        mine = codes == at
        found.append(Bin(one.confidence, one.correct, clustered_wilson(told.images[mine], told.scores[mine]), one.n))
    return found


def _panels(names: Sequence[str], held: Mapping[str, Told]) -> Html:
    return panels(*(_panel(i, name, bins(held[name])) for i, name in enumerate(names) if name in held))


def _panel(index: int, name: str, held: Sequence[Bin]) -> Html:
    said = "; ".join(f"sure {b.sure:.0%}: {_right(b)} right, n = {b.n:,}" for b in held)
    return reliability(tag("bdi", name), index, held, about=f"Reliability of {name}. {said}")


def _right(b: Bin) -> str:
    return f"{b.right:.0%}" + ("" if b.interval is None else f" [{b.interval[0]:.0%} to {b.interval[1]:.0%}]")


def _table(m: Material, found: Sequence[Figure]) -> Html:
    held = {(f.candidate, f.labels.get("benchmark", ""), f.metric): f for f in found}
    lines: list[tuple[Child, Sequence[Html]]] = []
    for key in m.benchmarks:
        if any((name, key, metric) in held for name in m.names for metric in _METRICS):
            cells = [_cell({metric: held.get((name, key, metric)) for metric in _METRICS}) for name in m.names]
            lines.append((m.title(key), cells))
    terms = [
        defined(words, next(f.definition for f in found if f.metric == metric), figures.TEXTS)
        for metric, words in _METRICS.items()
        if any(f.metric == metric for f in found)
    ]
    head = join([part for term in terms for part in (", ", term)][1:])
    return grid("Calibration", head, [tag("bdi", name) for name in m.names], lines)


def _cell(by_metric: Mapping[str, Figure | None]) -> Html:
    said: list[Html] = []
    n = ""
    for metric, words in _METRICS.items():
        figure = by_metric[metric]
        if figure is None:
            continue
        shown = show(figure)
        n = shown.n or n
        interval = tag("span", f" [{shown.interval}]", class_="muted") if shown.interval else None
        kind, why = ("value", None) if shown.measured else ("none", shown.value)
        said.append(tag("span", f"{words} ", tag("span", shown.short, class_=kind, title=why), interval, class_="line"))
    return tag("td", *said, tag("span", n, class_="n") if n else None, class_="num wide")
