"""Samples to look at: picture, question, gold, and what every candidate answered; where they disagree first."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from fourways.core.rows import AnswerRow, Row
from fourways.report.facts import Facts, verdict
from fourways.report.markup import Html, foreign, join, tag
from fourways.report.plot import SERIES, swatch
from fourways.report.thumbnails import SMALL, Thumbnail, thumbnail

Key = tuple[str, str]
MOST_SAMPLES = 36
MOST_IMAGE_BYTES = 1_600_000
_OPTION = "option "


def choose(facts: Facts, most: int = MOST_SAMPLES) -> list[Key]:
    """Which samples to show: two thirds where the candidates disagree, the rest where all are wrong and where all are
    right; benchmarks take turns, and a new picture goes before one that is shown already. The same run always gives
    the same samples."""
    kinds: dict[str, list[Key]] = defaultdict(list)
    for key in sorted(facts.verdicts, key=_shuffled):
        kinds[kind_of(facts.verdicts[key].values())].append(key)
    chosen: list[Key] = []
    seen: set[str] = set()
    for kind, share in (("disagree", most * 2 // 3), ("wrong", most // 6), ("right", most // 6)):
        chosen += _take(kinds[kind], share, facts.images, seen)
    for kind in ("disagree", "wrong", "right"):
        left = [key for key in kinds[kind] if key not in set(chosen)]
        chosen += _take(left, most - len(chosen), facts.images, seen)
    order = {"disagree": 0, "wrong": 1, "right": 2}
    return sorted(chosen, key=lambda key: order[kind_of(facts.verdicts[key].values())])


def kind_of(verdicts: Iterable[tuple[float, int]]) -> str:
    """disagree (scores or readings differ), wrong (all alike, none fully right) or right."""
    verdicts = list(verdicts)
    if len(set(verdicts)) > 1:
        return "disagree"
    return "right" if all(score >= 1.0 for score, _ in verdicts) else "wrong"


def gather(rows: Iterable[Row], chosen: Sequence[Key]) -> dict[Key, list[AnswerRow]]:
    """The rows of the chosen samples, in the order of `chosen`."""
    found: dict[Key, list[AnswerRow]] = {key: [] for key in chosen}
    for row in rows:
        if isinstance(row, AnswerRow) and (row.benchmark, row.sample) in found:
            found[row.benchmark, row.sample].append(row)
    return found


def gallery(
    samples: Mapping[Key, Sequence[AnswerRow]],
    names: Sequence[str],
    titles: Mapping[str, str],
    images: Callable[[str], bytes | None] | None,
    asked: int,
) -> Html:
    """Cards, and a choice of benchmark and kind that works where scripts may run. images None: they are left out.
    asked: how many samples the run has."""
    cards: list[Html] = []
    pictures: dict[str, Thumbnail | None] = {}
    room = MOST_IMAGE_BYTES
    for rows in samples.values():
        sha = rows[0].image
        if images is not None and sha not in pictures and room > 0:
            source = images(sha)
            pictures[sha] = thumbnail(source) if source is not None else None
        picture = pictures.get(sha)
        room -= len(picture.data_url) if picture else 0
        cards.append(_card(rows, names, titles, picture, asked=images is not None))
    return join(
        [tag("p", _how_chosen(samples, asked)), _filters(samples, titles), tag("div", *cards, class_="gallery")]
    )


def _how_chosen(samples: Mapping[Key, Sequence[AnswerRow]], asked: int) -> str:
    kinds = Counter(kind_of(map(verdict, rows)) for rows in samples.values())
    said = {
        "disagree": "on which the candidates disagree",
        "wrong": "on which none is right",
        "right": "on which all are",
    }
    shown = ", then ".join(f"{kinds[kind]} {words}" for kind, words in said.items() if kinds[kind])
    return (
        f"{len(samples):,} of {asked:,} samples, chosen for what they show: {shown}. "
        "So the share of right answers here is not the accuracy."
    )


def _filters(samples: Mapping[Key, Sequence[AnswerRow]], titles: Mapping[str, str]) -> Html:
    keys = sorted({benchmark for benchmark, _ in samples})
    options = [tag("option", "all benchmarks", value=""), *(tag("option", titles.get(k, k), value=k) for k in keys)]
    kinds = [("", "all samples"), ("disagree", "they disagree"), ("wrong", "none is right"), ("right", "all are right")]
    return tag(
        "form",
        tag("label", "Show ", tag("select", *options, id="pick-benchmark")),
        tag("label", "where ", tag("select", *(tag("option", text, value=v) for v, text in kinds), id="pick-kind")),
        tag("output", f"{len(samples)} samples", id="picked"),
        class_="filters",
        hidden=True,
    )


def _card(
    rows: Sequence[AnswerRow],
    names: Sequence[str],
    titles: Mapping[str, str],
    picture: Thumbnail | None,
    *,
    asked: bool,
) -> Html:
    first = rows[0]
    kind = kind_of(map(verdict, rows))
    by_name = {row.candidate: row for row in rows}
    answers = [_answer(i, name, by_name.get(name)) for i, name in enumerate(names)]
    where = f"{titles.get(first.benchmark, first.benchmark)}{' · ' if first.category else ''}{first.category}"
    return tag(
        "article",
        _picture(rows, names, picture, asked=asked),
        tag(
            "div",
            tag("p", where, class_="where"),
            tag("p", foreign(asked_text(first), limit=900), class_="question"),
            tag("p", tag("span", "gold ", class_="tagged"), foreign(gold_text(first.gold)), class_="gold"),
            tag("ul", *answers, class_="answers"),
            class_="said",
        ),
        class_="card",
        data_benchmark=first.benchmark,
        data_kind=kind,
    )


def asked_text(row: AnswerRow) -> str:
    """The question, and its options where they do not stand in it."""
    options = {key.removeprefix(_OPTION): text for key, text in row.extra.items() if key.startswith(_OPTION)}
    lines = [f"{letter}. {text}" for letter, text in options.items() if text not in row.question]
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


def _answer(index: int, name: str, row: AnswerRow | None) -> Html:
    head = (swatch(index), tag("bdi", name, class_="name"))
    if row is None:
        return tag("li", *head, tag("span", "not asked", class_="verdict"))
    reply = foreign(row.reply or row.extra.get("error", "")) if row.reply or row.status == "failed" else _EMPTY
    return tag("li", *head, _verdict(row), tag("div", reply, _read_as(row), class_="reply"))


_EMPTY = tag("em", "empty reply")


def _verdict(row: AnswerRow) -> Html:
    if row.status == "failed":
        return tag("span", "failed", class_="verdict bad")
    if row.status == "unparsed":
        return tag("span", "unreadable", class_="verdict bad")
    if row.score >= 1.0:
        return tag("span", "\N{CHECK MARK} right", class_="verdict good")
    if row.score <= 0.0:
        return tag("span", "\N{MULTIPLICATION X} wrong", class_="verdict bad")
    return tag("span", f"\N{ALMOST EQUAL TO} {row.score:.2f}", class_="verdict part")


def _read_as(row: AnswerRow) -> Html | None:
    if row.parsed is None:
        return None
    text = row.parsed if isinstance(row.parsed, str) else box_text(row.parsed)
    if text.strip().casefold() == row.reply.strip().casefold():
        return None
    return tag("span", " read as ", foreign(text, limit=120), class_="read")


def _picture(rows: Sequence[AnswerRow], names: Sequence[str], picture: Thumbnail | None, *, asked: bool) -> Html:
    first = rows[0]
    if picture is None:
        why = "image not at hand" if asked else "images left out"
        return tag("div", tag("p", why, tag("br"), tag("code", first.image[:12])), class_="picture none")
    image = tag(
        "img",
        src=picture.data_url,
        alt=f"the image of {first.benchmark} sample {first.sample}",
        class_="small" if max(picture.width, picture.height) <= SMALL else None,
    )
    return tag("div", tag("div", image, _boxes(rows, names, picture), class_="framed"), class_="picture")


def _boxes(rows: Sequence[AnswerRow], names: Sequence[str], picture: Thumbnail) -> Html | None:
    gold = rows[0].gold
    if len(gold) != 4 or not all(isinstance(g, float | int) for g in gold):
        return None
    drawn: list[Html] = []
    for row in rows:
        if isinstance(row.parsed, tuple) and len(row.parsed) == 4 and row.candidate in names:
            index = names.index(row.candidate)
            drawn.append(tag("g", _box(row.parsed, "saidbox", row.candidate), class_=f"s{index % SERIES}"))
    drawn.append(_box([float(g) for g in gold], "goldbox", "gold"))
    return tag("svg", *drawn, viewBox=f"0 0 {picture.width} {picture.height}", aria_hidden="true", class_="boxes")


def _box(box: Sequence[float], kind: str, name: str) -> Html:
    x1, y1, x2, y2 = (min(max(float(v), -1e6), 1e6) for v in box)
    left, top, width, height = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
    return tag("rect", tag("title", name), x=left, y=top, width=width, height=height, class_=kind)


def _shuffled(key: Key) -> str:
    return hashlib.sha256("\0".join(key).encode()).hexdigest()


def _take(keys: Sequence[Key], most: int, images: Mapping[Key, str], seen: set[str]) -> list[Key]:
    """Up to `most` keys, benchmarks in turn, unseen pictures first; `seen` learns of the pictures taken."""
    waiting: dict[str, list[Key]] = defaultdict(list)
    for key in keys:
        waiting[key[0]].append(key)
    taken: list[Key] = []
    while len(taken) < most and any(waiting.values()):
        for queue in waiting.values():
            if not queue or len(taken) >= most:
                continue
            at = next((i for i, key in enumerate(queue) if images[key] not in seen), 0)
            key = queue.pop(at)
            seen.add(images[key])
            taken.append(key)
    return taken
