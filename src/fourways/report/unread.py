"""Replies that no rule could read: how many, and what they look like. They count as wrong."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.report.answers import FAILED, UNREAD, Answered
from fourways.report.cards import asked_text, gold_text, reply_text
from fourways.report.markup import Child, Html, foreign, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.tables import grid, number_cell, stacked

_JUDGED = "_judged"
_COUNTED = (
    "Replies that the official rule could not read, and requests that failed. They count as wrong, in every figure. "
    "Each cell: how many, of how many, and the share that was unreadable with its 95 % interval."
)
_BESIDE = (
    "A judge model was asked to read what the rule could not. Its reading is shown beside, never counted: the official "
    "figure excludes it."
)
_SHOWN = "As text, whatever it holds: invisible and direction-changing characters are written out, such as [U+202E]."


def section(m: Material) -> Html | None:
    """None where nobody was asked."""
    if not m.facts.answers.asked:
        return None
    if not any(_lost(m, name, key) for name in m.names for key in m.facts.answers.asked):
        return tag("p", "Every reply could be read, and no request failed.")
    return join([tag("p", _COUNTED), _counts(m), *_judged(m), *_examples(m)])


def _answered(m: Material, name: str, key: str) -> Answered | None:
    asked = m.facts.answers.asked.get(key)
    return None if asked is None else asked.by_candidate.get(name)


def _lost(m: Material, name: str, key: str) -> int:
    answered = _answered(m, name, key)
    return 0 if answered is None else answered.statuses.count(UNREAD) + answered.statuses.count(FAILED)


def _counts(m: Material) -> Html:
    shares = {(f.candidate, f.labels.get("benchmark")): f for f in m.of_axis("accuracy") if f.metric == "unparsed"}
    lines: list[tuple[Child, Sequence[Html]]] = []
    for key in m.benchmarks:
        if any(_lost(m, name, key) for name in m.names):
            cells = [_count(_answered(m, name, key), shares.get((name, key))) for name in m.names]
            lines.append((m.title(key), cells))
    whole = [key for key in m.benchmarks if not any(_lost(m, name, key) for name in m.names)]
    rest = f"Every reply was read on {', '.join(m.title(key) for key in whole)}." if whole else None
    heads = [tag("bdi", name) for name in m.names]
    table = grid("Unparsed replies by benchmark", "benchmark", heads, lines)
    return join([table, tag("p", rest, class_="muted") if rest else None])


def _count(answered: Answered | None, share: Figure | None) -> Html:
    if answered is None:
        return tag("td", "not asked", class_="num muted")
    unread, failed = answered.statuses.count(UNREAD), answered.statuses.count(FAILED)
    asked = sum(status != 0 for status in answered.statuses)
    words = [f"{unread:,} unreadable"] if unread or not failed else []
    words += [f"{failed:,} failed"] if failed else []
    shown = show(share)
    said = f"{shown.value} [{shown.interval}]" if unread and shown.interval else None
    interval = None if said is None else tag("span", said, class_="interval")
    return tag(
        "td", tag("span", ", ".join(words), class_="value"), tag("span", f"of {asked:,}", class_="n"), interval,
        class_="num",
    )  # fmt: skip


def _judged(m: Material) -> list[Html]:
    found = [f for f in m.of_axis("accuracy") if f.metric.endswith(_JUDGED) and "judge" in f.labels]
    lines: list[tuple[Child, Sequence[Html]]] = []
    for key in m.benchmarks:
        by_name = {f.candidate: f for f in found if f.labels.get("benchmark") == key}
        counted = {name: a for name in m.names if (a := _answered(m, name, key)) is not None and a.judged}
        if by_name or counted:
            cells = [_judged_cell(m, name, key, by_name.get(name), counted.get(name)) for name in m.names]
            lines.append((m.title(key), cells))
    if not lines:
        return []
    judges = ", ".join(dict.fromkeys(f.labels["judge"] for f in found))
    heads = [tag("bdi", name) for name in m.names]
    asked = tag("p", _BESIDE, f" Judge: {judges}." if judges else None)
    return [tag("h3", "With a judge's reading"), asked, grid("With a judge", "benchmark", heads, lines)]


def _judged_cell(m: Material, name: str, key: str, figure: Figure | None, answered: Answered | None) -> Html:
    if answered is None:
        return tag("td", "nothing to judge", class_="num muted")
    official = tag("span", f"official {show(m.primaries.get((name, key))).value}", class_="n")
    read = answered.judged - answered.judge_lost
    said = f"judged {answered.judged:,}, read {read:,}, called right {answered.judge_right:g}"
    below = (official, tag("span", said, class_="n"))
    return tag("td", *below, class_="num") if figure is None else number_cell(show(figure), *below)


def _examples(m: Material) -> list[Html]:
    rows = m.gathered.unread
    if not rows:
        return []
    number = sum(_lost(m, name, key) for name in m.names for key in m.facts.answers.asked)
    judge = any(row.judged is not None for row in rows)
    heads = ["who", "asked", "reply", *(["judge"] if judge else [])]
    body = [[*_example(m, row), *([_judge_said(row)] if judge else [])] for row in rows]
    title = f"Examples: {len(rows):,} of {number:,}" if number > len(rows) else "What they said"
    table = stacked("Unparsed replies", heads, body)
    return [tag("h3", title), tag("p", _SHOWN), tag("details", tag("summary", "Read them"), table, open=len(rows) <= 6)]


def _example(m: Material, row: AnswerRow) -> list[Child]:
    where = f"{m.title(row.benchmark)}{' · ' if row.category else ''}{row.category}"
    asked = join(
        [
            tag("span", where, class_="where"),
            tag("p", foreign(asked_text(row), limit=400), class_="asked"),
            tag("span", tag("span", "gold ", class_="tagged"), foreign(gold_text(row.gold), limit=200)),
        ]
    )
    said = tag("div", reply_text(row), class_="as-text")
    why = "the request failed" if row.status == "failed" else f"ended: {row.finish_reason}"
    return [tag("bdi", row.candidate), asked, join([said, tag("span", why, class_="where")])]


def _judge_said(row: AnswerRow) -> Html | str:
    judged = row.judged
    if judged is None:
        return "not asked"
    if judged.parsed is None:
        return foreign(judged.error or "could not read it either", limit=200)
    words = tag("span", "in its words: ", foreign(judged.reply, limit=200), class_="n")
    return join([foreign(judged.parsed, limit=120), f" (score {judged.score:g}, not counted)", words])
