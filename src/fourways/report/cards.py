"""One sample to look at: picture, question, gold, and what every candidate answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fourways.core.rows import AnswerRow
from fourways.report.answers import digest
from fourways.report.gathered import LONGEST
from fourways.report.markup import Html, foreign, tag
from fourways.report.pictures import Pictures, key
from fourways.report.plot import SERIES

_OPTION = "option "
_EMPTY = tag("em", "empty reply")
_ROOM = 60
"""Characters by which a cut reply is longer than LONGEST: it says how long it was."""


def kinds_of(rows: Sequence[AnswerRow]) -> tuple[str, ...]:
    """disagree (scores or readings differ), wrong (all alike, none fully right), right, or rest (all alike, and the
    gold answer is not public); and unread where the rule could not read someone's reply."""
    unread = ("unread",) if any(row.status != "ok" for row in rows) else ()
    if len({(row.score, digest(row.parsed)) for row in rows}) > 1:
        return ("disagree", *unread)
    if not rows[0].gold:
        return ("rest", *unread)
    return ("right" if all(row.score >= 1.0 for row in rows) else "wrong", *unread)


def letter(row: AnswerRow | None) -> str:
    """What became of a reply, in one letter: r(ight), p(artly), w(rong), u(nread), f(ailed), - (not asked), c (gold not
    public)."""
    if row is None:
        return "-"
    if row.status != "ok":
        return row.status[0]
    if not row.gold:
        return "c"
    return "r" if row.score >= 1.0 else "w" if row.score <= 0.0 else "p"


def card(rows: Sequence[AnswerRow], names: Sequence[str], titles: Mapping[str, str], pictures: Pictures) -> Html:
    """data-said: a `letter` for each candidate."""
    first = rows[0]
    by_name = {row.candidate: row for row in rows}
    answers = [_answer(i, name, by_name.get(name)) for i, name in enumerate(names)]
    where = f"{titles.get(first.benchmark, first.benchmark)}{' · ' if first.category else ''}{first.category}"
    return tag(
        "article",
        _picture(rows, names, pictures),
        tag(
            "div",
            tag("p", where, class_="where"),
            tag("p", foreign(asked_text(first), limit=900), class_="question"),
            tag("p", tag("span", "gold ", class_="tagged"), foreign(gold_text(first.gold)), class_="gold"),
            tag("ul", *answers, class_="answers"),
        ),
        class_="card",
        data_benchmark=first.benchmark,
        data_category=first.category,
        data_kind=" ".join(kinds_of(rows)),
        data_said="".join(letter(by_name.get(name)) for name in names),
    )


def asked_text(row: AnswerRow) -> str:
    """The question, and its options where they do not stand in it."""
    options = {key.removeprefix(_OPTION): text for key, text in row.extra.items() if key.startswith(_OPTION)}
    lines = [f"{mark}. {text}" for mark, text in options.items() if text not in row.question]
    return "\n".join([row.question, *lines])


def gold_text(gold: tuple[str | float, ...]) -> str:
    """Different gold answers, most frequent first, with how often each was given; a box as its four numbers."""
    if gold and all(isinstance(g, float | int) for g in gold):
        return box_text(gold)
    counts: dict[str, int] = defaultdict(int)
    for answer in gold:
        counts[str(answer)] += 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(text if n == 1 else f"{text} ×{n}" for text, n in ordered) or "not public"


def box_text(box: Sequence[str | float]) -> str:
    return "(" + ", ".join(f"{float(v):.0f}" for v in box) + ")"


def reply_text(row: AnswerRow) -> Html:
    """The reply as text, whatever it holds; of a failed request, what went wrong."""
    text = row.reply or (row.extra.get("error", "") if row.status == "failed" else "")
    return foreign(text, limit=LONGEST + _ROOM) if text else _EMPTY


def judged_text(row: AnswerRow) -> Html | None:
    """What the judge made of the reply, where one was asked."""
    if row.judged is None:
        return None
    if row.judged.parsed is None:
        why = row.judged.error or "could not read it either"
        return tag("span", " judge: ", foreign(why, limit=200), class_="read")
    said = "right" if row.judged.score >= 1.0 else "wrong" if row.judged.score <= 0.0 else f"{row.judged.score:.2f}"
    return tag("span", " judge reads ", foreign(row.judged.parsed, limit=120), f" ({said})", class_="read")


def _answer(index: int, name: str, row: AnswerRow | None) -> Html:
    head = (key(index), tag("bdi", name, class_="name"))
    if row is None:
        return tag("li", *head, tag("span", "not asked", class_="verdict"))
    return tag("li", *head, _verdict(row), tag("div", reply_text(row), _read_as(row), judged_text(row), class_="reply"))


def _verdict(row: AnswerRow) -> Html:
    match letter(row):
        case "f":
            return tag("span", "failed", class_="verdict bad")
        case "u":
            return tag("span", "unreadable", class_="verdict bad")
        case "c":
            return tag("span", "not scored", class_="verdict")
        case "r":
            return tag("span", "\N{CHECK MARK} right", class_="verdict good")
        case "w":
            return tag("span", "\N{MULTIPLICATION X} wrong", class_="verdict bad")
        case _:
            return tag("span", f"\N{ALMOST EQUAL TO} {row.score:.2f}", class_="verdict part")


def _read_as(row: AnswerRow) -> Html | None:
    if row.parsed is None:
        return None
    text = row.parsed if isinstance(row.parsed, str) else box_text(row.parsed)
    if text.strip().casefold() == row.reply.strip().casefold():
        return None
    return tag("span", " read as ", foreign(text, limit=120), class_="read")


def _picture(rows: Sequence[AnswerRow], names: Sequence[str], pictures: Pictures) -> Html:
    first = rows[0]
    if pictures.get(first.image) is None:
        said = tag("p", pictures.why(first.image), tag("br"), tag("code", first.image[:12]))
        return tag("div", said, class_="framed none")
    about = f"the image of {first.benchmark} sample {first.sample}"
    return tag("div", pictures.show(first.image, *_boxes(rows, names), about=about), class_="framed")


def _boxes(rows: Sequence[AnswerRow], names: Sequence[str]) -> list[Html]:
    gold = rows[0].gold
    if len(gold) != 4 or not all(isinstance(g, float | int) for g in gold):
        return []
    drawn: list[Html] = []
    for row in rows:
        if isinstance(row.parsed, tuple) and len(row.parsed) == 4 and row.candidate in names:
            index = names.index(row.candidate)
            drawn.append(tag("g", _box(row.parsed, "saidbox", row.candidate), class_=f"s{index % SERIES}"))
    return [*drawn, _box([float(g) for g in gold], "goldbox", "gold")]


def _box(box: Sequence[float], kind: str, name: str) -> Html:
    x1, y1, x2, y2 = (min(max(float(v), -1e6), 1e6) for v in box)
    left, top, width, height = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
    return tag("rect", tag("title", name), x=left, y=top, width=width, height=height, class_=kind)
