"""Yes/no bias: how often a candidate says yes, beside how often yes is right."""

from __future__ import annotations

from collections.abc import Mapping

from fourways import figures
from fourways.core.figure import Figure
from fourways.report.bars import Bar, dots
from fourways.report.markup import Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.plot import legend, panels
from fourways.report.result import interval
from fourways.report.tables import defined

_METRIC = "yes_share"
_WORDS = (
    "The share of yes among a candidate's replies. The upright line is the share of yes among the gold answers: an "
    "interval that lies to its right speaks for a habit of saying yes, one to its left for a habit of saying no. "
    "It is no score: whoever says yes as often as the gold answers do may still be wrong each time."
)


def section(m: Material) -> Html | None:
    """None where no benchmark of the run is answered by yes and no."""
    drawn = []
    for key in m.benchmarks:
        found = [f for f in m.of_axis("accuracy") if f.metric == _METRIC and f.labels.get("benchmark") == key]
        replies = {f.candidate: f for f in found if f.labels.get("among") == "replies"}
        gold = {f.candidate: f for f in found if f.labels.get("among") == "gold"}
        if replies:
            drawn.append(_panel(m, key, replies, gold))
    return join([tag("p", _WORDS), legend(m.names), panels(*drawn)]) if drawn else None


def _panel(m: Material, key: str, replies: Mapping[str, Figure], gold: Mapping[str, Figure]) -> Html:
    right = {f.value for f in gold.values() if f.value is not None}
    content = []
    for i, name in enumerate(m.names):
        figure = replies.get(name)
        shown = show(figure)
        value = figure.value if figure is not None and shown.measured else None
        content.append(Bar(i, name, _beside(shown.short, gold.get(name)), value, interval(figure) if figure else None))
    said = "; ".join(f"{name}: {show(replies.get(name)).line} yes, {_gold(gold.get(name))}" for name in m.names)
    link = defined("share of yes", next(iter(replies.values())).definition, figures.TEXTS)
    title = join([f"{m.title(key)}: ", link])
    return dots(title, content, right.pop() if len(right) == 1 else None, about=said)


def _beside(said: str, gold: Figure | None) -> str:
    return said if gold is None or gold.value is None else f"{said}, gold {show(gold).short}"


def _gold(figure: Figure | None) -> str:
    return "gold not known" if figure is None or figure.value is None else f"{show(figure).value} of the gold answers"
