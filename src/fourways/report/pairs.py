"""Who is ahead of whom: every two candidates on the same samples, over all benchmarks and on each (rule 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from fourways import figures
from fourways.core.figure import Figure
from fourways.report.markup import Child, Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.tables import cell, defined, grid

Pairs = Mapping[tuple[str, str], Figure]
_WORDS = (
    "Each cell: the candidate of the line minus that of the column, on the samples that both were asked, with its 95 % "
    "interval. Ahead and behind are said only where a paired test, adjusted over all pairs and benchmarks of the run, "
    "rejects. Not separated does not mean alike: it says which difference this n could have seen."
)
_SPOKEN = 8
"""So many separated pairs are named in a sentence; more only in the table."""
_KINDS = {"ahead": "\N{BLACK UP-POINTING TRIANGLE} ahead", "behind": "\N{BLACK DOWN-POINTING TRIANGLE} behind"}


def section(m: Material) -> Html | None:
    """None where fewer than two candidates were compared."""
    by_benchmark = paired(m.of_axis("accuracy"))
    if not by_benchmark:
        return None
    whole = by_benchmark.pop("", {})
    parts: list[Html | None] = [tag("p", _WORDS)]
    if whole:
        parts += [_tally(whole), _matrix(m, "the aggregate", whole)]
    if by_benchmark:
        parts += [tag("h3", "On how many benchmarks"), _counts(m, by_benchmark)]
        parts += [_folded(m, key, by_benchmark[key]) for key in m.benchmarks if key in by_benchmark]
    return join(parts)


def paired(found: Sequence[Figure]) -> dict[str, dict[tuple[str, str], Figure]]:
    """Benchmark ("" for the aggregate) → (candidate, versus) → the difference."""
    by_benchmark: dict[str, dict[tuple[str, str], Figure]] = {}
    for f in found:
        if "versus" in f.labels:
            by_benchmark.setdefault(f.labels.get("benchmark", ""), {})[f.candidate, f.labels["versus"]] = f
    return by_benchmark


def standing(figure: Figure) -> str:
    """ahead (its candidate is ahead of `versus`), behind, or "" where the two are not separated."""
    first, second, verdict = figure.candidate, figure.labels["versus"], figure.labels.get("verdict", "")
    if verdict.startswith(f"{first} is ahead of {second}"):
        return "ahead"
    return "behind" if verdict.startswith(f"{second} is ahead of {first}") else ""


def turned(figure: Figure) -> Figure:
    """The same difference seen from the other side."""
    low, high = (None if end is None else -end for end in (figure.high, figure.low))
    value = None if figure.value is None else -figure.value
    labels = {**figure.labels, "versus": figure.candidate}
    return msgspec.structs.replace(
        figure, candidate=figure.labels["versus"], labels=labels, value=value, low=low, high=high
    )


def _of(pairs: Pairs, first: str, second: str) -> Figure | None:
    other = pairs.get((second, first))
    return pairs.get((first, second)) or (None if other is None else turned(other))


def _matrix(m: Material, what: str, pairs: Pairs) -> Html:
    known = [name for name in m.names if any(name in pair for pair in pairs)]
    first = next(iter(pairs.values()))
    of = first.labels.get("of", "").replace("_", " ")
    alike = {show(figure).n for figure in pairs.values()}
    n = tag("span", next(iter(alike)), class_="n") if len(alike) == 1 else None
    corner = join([defined(of or first.metric.replace("_", " "), first.definition, figures.TEXTS), n])
    lines: list[tuple[Child, Sequence[Html]]] = [
        (tag("bdi", a), [_cell(_of(pairs, a, b), alone=a == b, n=n is None) for b in known]) for a in known
    ]
    return grid(f"Who is ahead of whom on {what}", corner, [tag("bdi", name) for name in known], lines)


def _cell(figure: Figure | None, *, alone: bool, n: bool) -> Html:
    if alone:
        return tag("td", "–", class_="num self")
    if figure is None:
        return tag("td", "not compared", class_="num muted")
    kind, shown = standing(figure), show(figure)
    said = tag("span", _KINDS[kind], class_=f"verdict {kind}") if kind else tag("span", apart(figure), class_="n")
    return tag("td", cell(shown if n else replace(shown, n="")), said, class_="num wide")


def apart(figure: Figure) -> str:
    """What is said of two that are not separated: which difference this n could have seen."""
    verdict = figure.labels.get("verdict", figure.reason or "not compared")
    sees = verdict.removeprefix("not separated (this n sees differences of ")
    return verdict if sees == verdict else f"not separated; sees {sees.removesuffix(')')}"


def _tally(pairs: Pairs) -> Html:
    """In one sentence who is separated from whom on the aggregate."""
    ahead = []
    for figure in pairs.values():
        kind = standing(figure)
        names = (figure.candidate, figure.labels["versus"])
        if kind:
            front, behind = names if kind == "ahead" else names[::-1]
            ahead.append(join([tag("bdi", front), " is ahead of ", tag("bdi", behind)]))
    rest = len(pairs) - len(ahead)
    if len(ahead) > _SPOKEN:
        return tag("p", tag("b", "On the aggregate: "), f"{len(ahead)} of {len(pairs)} pairs are separated.")
    said: list[Child] = []
    for words in ahead:
        said += [words, "; "]
    pair = "pair is" if rest == 1 else "pairs are"
    if rest:
        said += [f"{rest} {'other ' if ahead else ''}{pair} not separated." if ahead or rest > 1 else "Not separated."]
    else:
        said[-1] = "."
    return tag("p", tag("b", "On the aggregate: "), *said)


def _counts(m: Material, by_benchmark: Mapping[str, Pairs]) -> Html:
    """For every two candidates, on how many benchmarks the one is ahead, behind, and not separated."""
    tally: dict[tuple[str, str], Counter[str]] = {}
    for pairs in by_benchmark.values():
        for figure in pairs.values():
            for seen in (figure, turned(figure)):
                tally.setdefault((seen.candidate, seen.labels["versus"]), Counter())[standing(seen)] += 1
    known = [name for name in m.names if any(name in pair for pair in tally)]
    lines: list[tuple[Child, Sequence[Html]]] = [
        (tag("bdi", a), [_count_cell(tally.get((a, b)), alone=a == b) for b in known]) for a in known
    ]
    return grid("On how many benchmarks", "", [tag("bdi", name) for name in known], lines)


def _count_cell(tally: Counter[str] | None, *, alone: bool) -> Html:
    if alone:
        return tag("td", "–", class_="num self")
    if tally is None:
        return tag("td", "not compared", class_="num muted")
    words = [f"{_KINDS[kind]} on {tally[kind]}" for kind in ("ahead", "behind") if tally[kind]]
    said = [tag("span", line, class_="value line") for line in words]
    rest = tag("span", f"not separated on {tally['']}", class_="n") if tally[""] else None
    return tag("td", *said, rest, class_="num wide")


def _folded(m: Material, key: str, pairs: Pairs) -> Html:
    apart = sum(bool(standing(figure)) for figure in pairs.values())
    said = f"{m.title(key)}: {apart} of {len(pairs)} pairs separated"
    return tag("details", tag("summary", said), _matrix(m, m.title(key), pairs))
