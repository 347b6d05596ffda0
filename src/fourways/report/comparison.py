"""A page that lays two runs side by side: verdicts, paired tests, figures, and what the headers say differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import fourways
from fourways import figures
from fourways.core.figure import AXES, Figure
from fourways.core.run import RunHeader
from fourways.core.run_files import write_whole
from fourways.core.verdict import SAME, AxisVerdict, Comparison, FigurePair, Verdict
from fourways.report import provenance
from fourways.report.markup import Child, Html, foreign, join, tag
from fourways.report.numbers import show
from fourways.report.page import Section, definitions, document
from fourways.report.tables import cell, defined, folded, stacked, table

_CHIEF_TIMES = frozenset({"ttft_p50", "e2e_p50", "tpot_p50"})
_SHARES = frozenset({"unparsed", "failed"})
_COLOURS: dict[Verdict, str] = {"reproduced": "good", "not reproduced": "bad", "not comparable": "part"}
TIMES = (
    "Times hold what the machine did meanwhile: whether the engine differs cannot be told from two runs of different "
    "hours (fourways reproduce makes fresh starts and judges)."
)
TESTED = (
    "The difference is of the scores; its 95 % interval is for all images such as these, so that few images leave it "
    "wide even where every answer is the same."
)
_MEANING = (
    "Not reproduced: a difference was seen. Not comparable: the two runs cannot say anything of each other there "
    "(another machine, other versions, a machine less steady than the effect, nothing measured). A test that does not "
    "reject is no proof of equality; each says which difference it would have seen."
)


def write_comparison(comparison: Comparison, header: RunHeader, target: Path) -> None:
    """One self-contained file, whole or not at all. header: of the new run, whose caveats hold here too. Raises
    FourwaysError if it cannot be written."""
    write_whole(target, comparison_page(comparison, header).encode())


def comparison_page(comparison: Comparison, header: RunHeader) -> str:
    """The whole document."""
    sections = [
        Section("verdicts", "Verdicts", _verdicts(comparison)),
        Section("tests", "On the same samples", _tests(comparison.tests)),
        Section("figures", "Figures side by side", _figures(comparison.figures)),
        Section("headers", "What the headers say differently", _differences(comparison)),
        Section("left-out", "Not compared", _notes(comparison.notes)),
        Section("definitions", "Definitions", _definitions(comparison)),
    ]
    foot = f"Made by Fourways {fourways.__version__} from run.json, rows.jsonl and summary.json of both runs."
    lead = f"{comparison.old} → {comparison.new}"
    return document(_title(comparison), lead, provenance.caveats(header), sections, foot)


def chief(pair: FigurePair) -> bool:
    """Whether it belongs in a short table: a headline, a benchmark's metric, a median time."""
    one = pair.new or pair.old
    if one is None:
        return False
    benchmark = one.axis == "accuracy" and set(one.labels) == {"benchmark"} and one.metric not in _SHARES
    return one.headline or one.metric in _CHIEF_TIMES or benchmark


def named(pair: FigurePair) -> str:
    """The candidate, or NEW=OLD where two names were matched."""
    if pair.new is None or pair.old is None:
        one = pair.new or pair.old
        return "" if one is None else one.candidate
    same = pair.new.candidate == pair.old.candidate
    return pair.new.candidate if same else f"{pair.new.candidate}={pair.old.candidate}"


def named_in(test: Figure) -> str:
    """Whose test it is, as in `named`: that new is taken minus old is said once."""
    new, old = test.candidate.removesuffix(" (new)"), test.labels.get("versus", "").removesuffix(" (old)")
    return new if new == old else f"{new}={old}"


def in_words(pair: FigurePair) -> str:
    """The metric and what it is of."""
    one = pair.new or pair.old
    if one is None:
        return ""
    of = ", ".join(f"{name} {value}" for name, value in one.labels.items())
    return f"{one.metric.replace('_', ' ')}{f' ({of})' if of else ''}"


def _title(comparison: Comparison) -> str:
    if not comparison.verdicts:
        return "Two runs side by side"
    counts = {verdict: sum(one.verdict == verdict for one in comparison.verdicts) for verdict in _COLOURS}
    return "A run again: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def _verdicts(comparison: Comparison) -> Html | None:
    if not comparison.verdicts:
        return None
    rows = [_verdict_row(one) for one in comparison.verdicts]
    return join([tag("p", _MEANING), stacked("Verdicts", ("candidate", "ground", "verdict", "why"), rows)])


def _verdict_row(one: AxisVerdict) -> Sequence[Child]:
    mark = tag("strong", one.verdict, class_=f"verdict {_COLOURS[one.verdict]}")
    reasons = tag("ul", *(tag("li", foreign(reason)) for reason in one.reasons), class_="why")
    return tag("bdi", one.candidate), one.ground, mark, join([reasons, _statistics(one)])


def _statistics(one: AxisVerdict) -> Html | None:
    if not one.statistics:
        return None
    rows = [(tag("bdi", name), f"{value:.6g}") for name, value in one.statistics.items()]
    shown = table(f"Statistics of {one.ground}", ("statistic", "#value"), rows)
    return tag("details", tag("summary", f"Statistics ({len(rows)})"), shown)


def _tests(tests: Sequence[Figure]) -> Html | None:
    if not tests:
        return None
    rows = [
        (
            tag("bdi", named_in(one)),
            one.labels.get("benchmark", "aggregate"),
            one.labels.get(SAME, ""),
            cell(show(one)),
            foreign(one.labels.get("verdict", "")),
            ", ".join(f"{name} {one.labels[name]}" for name in ("p (Holm)", "p", "test") if name in one.labels),
        )
        for one in tests
    ]
    said = tag("p", f"New minus old, over the samples that both runs asked; adjusted over all lines. {TESTED}")
    heads = ("candidate", "of", f"#{SAME}", "#difference", "verdict", "test")
    return join([said, stacked("Paired tests", heads, rows)])


def _figures(pairs: Sequence[FigurePair]) -> Html | None:
    if not pairs:
        return None
    return join(part for axis in AXES for part in _axis(axis, [pair for pair in pairs if _axis_of(pair) == axis]))


def _axis_of(pair: FigurePair) -> str | None:
    one = pair.new or pair.old
    return None if one is None else one.axis


def _axis(axis: str, pairs: Sequence[FigurePair]) -> Iterator[Html]:
    if not pairs:
        return
    heads = ("candidate", "figure", "#old", "#new")
    first = [pair for pair in pairs if chief(pair)]
    rest = [pair for pair in pairs if not chief(pair)]
    yield tag("h3", axis)
    if axis == "latency":
        yield tag("p", TIMES)
    if first:
        yield stacked(f"Chief figures of {axis}", heads, [_figure_row(pair) for pair in first])
    if rest:
        every = table(f"Further figures of {axis}", heads, [_figure_row(pair) for pair in rest])
        yield tag("details", tag("summary", f"{len(rest):,} further figures of {axis}"), every)


def _figure_row(pair: FigurePair) -> Sequence[Child]:
    one = pair.new or pair.old
    assert one is not None
    of = ", ".join(f"{name} {value}" for name, value in one.labels.items())
    metric = defined(one.metric.replace("_", " "), one.definition, figures.TEXTS)
    what = join([metric, tag("span", f" {of}", class_="muted") if of else None])
    return tag("bdi", named(pair)), what, _side(pair.old), _side(pair.new)


def _side(figure: Figure | None) -> Html:
    return tag("span", "not there", class_="muted") if figure is None else cell(show(figure))


def _differences(comparison: Comparison) -> Html:
    if not comparison.differences:
        return tag("p", "Nothing of what was run. Run id, hour, command line and load always differ.")
    rows = [
        (tag("code", one.where), *(_value(value) for value in (one.old, one.new))) for one in comparison.differences
    ]
    return folded(
        f"{len(rows):,} differences", stacked("Differences of the headers", ("where", "old", "new"), rows), len(rows)
    )


def _value(value: str | None) -> Html:
    if value is None:
        return tag("span", "not there", class_="muted")
    return tag("span", foreign(value), class_="anywhere")


def _notes(notes: Sequence[str]) -> Html | None:
    return tag("ul", *(tag("li", foreign(note)) for note in notes)) if notes else None


def _definitions(comparison: Comparison) -> Html:
    used = [f for pair in comparison.figures for f in (pair.old, pair.new) if f is not None]
    return definitions([*used, *comparison.tests])
