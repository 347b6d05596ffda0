"""What others published beside what this run measured, where the two can be compared at all."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.figures import AgainstPublished, against_published
from fourways.report.markup import Html, foreign, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.tables import cell, stacked

_KINDS = {"agrees": "good", "differs": "part", "not_comparable": "muted"}
_HEADS = ("candidate", "benchmark", "#published", "#measured here", "verdict", "source")


def section(m: Material) -> Html | None:
    """None where no score is known that was published for a candidate of the run."""
    found = against_published(m.header, m.figures)
    return beside(m, found) if found else None


def beside(m: Material, found: Sequence[AgainstPublished]) -> Html:
    """What can be compared first; the rest folded, each with the reason."""
    words = (
        "Agrees: the published value lies in this run's 95 % interval. Published figures rarely come with an interval; "
        "prompts, splits and sampling often differ, and then the two cannot be compared."
    )
    compared = [one for one in found if one.verdict != "not_comparable"]
    rest = [one for one in found if one.verdict == "not_comparable"]
    parts = [tag("p", words)]
    if compared:
        parts.append(stacked("Published beside measured", _HEADS, [_line(m, one) for one in compared]))
    if rest:
        table = stacked("Published, not comparable", _HEADS, [_line(m, one) for one in rest])
        said = f"{len(rest)} published values that cannot be compared, and why"
        parts.append(tag("details", tag("summary", said), table, open=not compared))
    return join(parts)


def _line(m: Material, one: AgainstPublished) -> list[Html | str]:
    of = " ".join(part for part in (one.metric.replace("_", " "), one.edition) if part)
    value = f"{one.published:,.10g} {one.unit}"
    return [
        tag("bdi", one.candidate),
        join([m.title(one.benchmark), tag("span", of, class_="n")]),
        tag("span", value, class_="value"),
        cell(show(one.measured)),
        tag("span", one.words, class_=_KINDS[one.verdict]),
        join([foreign(one.source, limit=200), tag("span", foreign(one.source_url, limit=200), class_="n")]),
    ]
