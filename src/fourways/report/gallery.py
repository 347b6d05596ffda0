"""Where candidates disagree: how often one is right where another is wrong, and samples to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np

from fourways.core.rows import AnswerRow
from fourways.report.answers import Answers
from fourways.report.cards import card, kinds_of
from fourways.report.choice import Key
from fourways.report.filters import filters
from fourways.report.markup import Html, join, tag
from fourways.report.material import Material
from fourways.report.pictures import Pictures, store
from fourways.report.tables import grid

MOST_BYTES = 1_500_000
"""Of cards, pictures apart."""
_ORDER = ("disagree", "wrong", "right", "rest")


def title(names: Sequence[str]) -> str:
    """The section's heading: nobody disagrees with a single candidate."""
    return "Where candidates disagree" if len(names) > 1 else "Samples"


def section(m: Material) -> Html | None:
    """Matrix, form and cards; None where nothing was asked."""
    shown = {key: rows for key, rows in m.gathered.samples.items() if rows}
    if not shown:
        return None
    answers = m.facts.answers
    return join([matrix(answers, m.names), gallery(shown, m.names, m.titles, m.pictures, len(answers))])


def matrix(answers: Answers, names: Sequence[str]) -> Html | None:
    """For every two candidates: of the samples that both were asked, on how many the one is right and the other wrong.
    Each number leads to such samples. None below two candidates."""
    right, both = disagreements(answers)
    known = [name for name in names if any(name in pair for pair in both)]
    if len(known) < 2:
        return None
    words = (
        "Samples of all benchmarks on which the candidate of the line is right (a full score) and the one of the "
        "column wrong (no score at all; an unreadable reply is wrong). Follow a number to see some of them."
    )
    body = [(tag("bdi", a), [_cell(names, a, b, right, both) for b in known]) for a in known]
    heads = [tag("bdi", name) for name in known]
    return join([tag("p", words), grid("Right where another is wrong", "right \\ wrong", heads, body)])


def disagreements(answers: Answers) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """(first, second) → on how many samples the first is right and the second wrong, and how many both were asked, of
    those whose gold answer is public."""
    right: Counter[tuple[str, str]] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for _, held in answers.boards():
        scored = held.asked & held.public
        for i, j in permutations(range(len(held.names)), 2):
            pair = (held.names[i], held.names[j])
            right[pair] += int(np.count_nonzero(held.right[i] & held.wrong[j]))
            both[pair] += int(np.count_nonzero(scored[i] & scored[j]))
    return right, both


def _cell(
    names: Sequence[str], a: str, b: str, right: Counter[tuple[str, str]], both: Counter[tuple[str, str]]
) -> Html:
    if a == b:
        return tag("td", "–", class_="num self", aria_label="the same candidate")
    if not both[a, b]:
        return tag("td", "no samples in common", class_="num muted")
    n, of = right[a, b], both[a, b]
    said = f"{a} right and {b} wrong: {n:,} of {of:,}"
    link = tag(
        "a", f"{n:,}", href="#samples", aria_label=said, data_first=names.index(a), data_second=names.index(b)
    ) if n else "0"  # fmt: skip
    return tag("td", tag("span", link, class_="value"), tag("span", f"of {of:,}", class_="n"), class_="num")


def gallery(
    samples: Mapping[Key, Sequence[AnswerRow]],
    names: Sequence[str],
    titles: Mapping[str, str],
    pictures: Pictures,
    asked: int,
) -> Html:
    """As many of the cards as there is room for, those that come first in `samples`; then in the order of kinds."""
    made: dict[Key, Html] = {}
    room = MOST_BYTES
    for key, rows in samples.items():
        drawn = card(rows, names, titles, pictures)
        room -= len(drawn.encode())
        if room < 0 and made:
            break
        made[key] = drawn
    kinds = {key: kinds_of(samples[key])[0] for key in made}
    cards = [made[key] for key in sorted(made, key=lambda key: _ORDER.index(kinds[key]))]
    shown = {key: samples[key] for key in made}
    return join(
        [
            store(pictures, names),
            tag("h3", "Samples", id="samples") if len(names) > 1 else None,
            tag("p", _how_chosen(Counter(kinds.values()), asked)),
            filters(shown, names, titles),
            tag("div", *cards, class_="gallery"),
            tag("p", tag("button", "Show more", type="button", id="more"), hidden=True, class_="more"),
        ]
    )


def _how_chosen(kinds: Counter[str], asked: int) -> str:
    said = {
        "disagree": "on which the candidates disagree",
        "wrong": "on which none is right",
        "right": "on which all are",
        "rest": "on which they agree and no answer is public",
    }
    shown = ", then ".join(f"{kinds[kind]} {words}" for kind, words in said.items() if kinds[kind])
    if sum(kinds.values()) == asked:
        return f"All {asked:,} samples: {shown}."
    return (
        f"{sum(kinds.values()):,} of {asked:,} samples, chosen for what they show: {shown}. "
        "So the share of right answers here is not the accuracy."
    )
