"""The form that narrows the samples down. Where scripts may not run it is not there, and all samples are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways.core.rows import AnswerRow
from fourways.report.choice import Key
from fourways.report.markup import Html, join, tag

KINDS = {
    "": "all samples",
    "disagree": "they disagree",
    "wrong": "none is right",
    "right": "all are right",
    "unread": "a reply could not be read",
}
STATES = {
    "r": "right",
    "wuf": "wrong",
    "only-r": "the only one right",
    "only-wuf": "the only one wrong",
    "p": "partly right",
    "u": "unreadable",
}
"""Letters of a card's data-said that count, and what they mean."""


def filters(samples: Mapping[Key, Sequence[AnswerRow]], names: Sequence[str], titles: Mapping[str, str]) -> Html:
    """A form with id "filters"; page.js reads it."""
    keys = sorted({benchmark for benchmark, _ in samples})
    of = sorted({(rows[0].benchmark, rows[0].category) for rows in samples.values() if rows[0].category})
    benchmarks = [tag("option", titles.get(k, k), value=k) for k in keys]
    categories = [tag("option", category, value=category, data_of=benchmark) for benchmark, category in of]
    kinds = [tag("option", text, value=value) for value, text in KINDS.items()]
    return tag(
        "form",
        _choice("benchmark", "benchmark", [tag("option", "all benchmarks", value=""), *benchmarks]),
        _choice("category", "category", [tag("option", "all categories", value=""), *categories]) if of else None,
        _choice("kind", "where", kinds),
        _who("first", "and", names),
        _who("second", "and", names) if len(names) > 1 else None,
        tag("label", "with the words ", tag("input", type="search", name="words", autocomplete="off", size=18)),
        tag("button", "Show all", type="reset"),
        tag("output", f"{len(samples)} samples", name="picked"),
        id="filters",
        class_="filters",
        aria_label="Which samples to show",
        hidden=True,
    )


def _choice(name: str, said: str, options: Sequence[Html]) -> Html:
    return tag("label", f"{said} ", tag("select", *options, name=name))


def _who(name: str, said: str, names: Sequence[str]) -> Html:
    candidates = [tag("option", candidate, value=str(i)) for i, candidate in enumerate(names)]
    states = [tag("option", text, value=value) for value, text in STATES.items()]
    return tag(
        "span",
        join(
            [
                _choice(name, said, [tag("option", "any candidate", value=""), *candidates]),
                " is ",
                tag("select", *states, name=f"{name}-is", aria_label=f"what the {name} candidate is"),
            ]
        ),
        class_="who",
    )
