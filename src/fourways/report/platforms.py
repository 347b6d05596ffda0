"""The table of platforms as a page and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fourways
from fourways.core.plain_text import clean
from fourways.core.platform_table import PlatformCheck, PlatformRow, PlatformTable, PlatformVerdict
from fourways.core.run_files import write_whole
from fourways.report.markup import Child, Html, foreign, join, tag
from fourways.report.page import Section, document
from fourways.report.tables import stacked

_COLOURS: dict[PlatformVerdict, str] = {
    "the first run": "part", "same answers": "good", "answers differ": "bad", "not comparable": "part",
}  # fmt: skip
_HEADS = ("platform", "kernel", "checks", "answers", "verdict")
_MEANING = (
    "Answers are compared with those of the first run, reply by reply; where digests are the same every reply is. "
    "Each command makes its check anew, in the folder that holds the runs."
)


def write_platforms(made: PlatformTable, target: Path) -> None:
    """One self-contained file, whole or not at all. Raises FourwaysError if it cannot be written."""
    body = join([tag("p", _MEANING), stacked("Platforms", _HEADS, [_row(row) for row in made.rows])])
    foot = f"Made by Fourways {fourways.__version__} from the runs' own files."
    lead = f"{len(made.rows)} runs"
    write_whole(target, document("Platforms", lead, None, [Section("platforms", "Platforms", body)], foot).encode())


def in_markdown(made: PlatformTable) -> str:
    """A table, and below it the command of every check."""
    lines = [f"| {' | '.join(_HEADS)} |", "|" + " --- |" * len(_HEADS)]
    for row in made.rows:
        checks = "<br>".join(f"{one.name}: {one.outcome}" for one in row.checks)
        answers = f"{row.answers:,}<br>`{(row.answers_sha256 or 'none')[:16]}`"
        verdict = f"**{row.verdict}**{''.join(f'<br>{_text(reason)}' for reason in row.reasons)}"
        place = "<br>".join(_text(text) for text in platform(row))
        lines.append(f"| {place} | {_text(row.kernel)} | {checks} | {answers} | {verdict} |")
    lines += ["", _MEANING]
    for row in made.rows:
        lines += ["", f"{_text(row.folder)}:", ""]
        lines += [f"    {clean(command)}  # {name}: {said}" for name, command, said in commands(row)]
        lines += [f"- {one.name}: {_text(reason)}" for one in row.checks for reason in one.reasons]
    return "\n".join(lines) + "\n"


def platform(row: PlatformRow) -> Iterator[str]:
    """Where it ran, a line a thing."""
    yield row.machine
    yield from row.accelerators
    yield ", ".join(f"{name} {version}" for name, version in row.versions.items())
    yield f"Fourways {row.fourways}"
    yield row.folder


def commands(row: PlatformRow) -> Iterator[tuple[str, str, str]]:
    """Check, command, outcome; the digest of the answers among them."""
    yield from ((one.name, one.command, one.outcome) for one in row.checks)
    yield "answers", row.answers_command, row.answers_sha256 or "no answers"


def _row(row: PlatformRow) -> list[Child]:
    verdict = tag("strong", row.verdict, class_=f"verdict {_COLOURS[row.verdict]}")
    return [
        join(tag("div", foreign(text)) for text in platform(row)),
        foreign(row.kernel),
        join(_check(one) for one in row.checks),
        join([f"{row.answers:,} replies ", _command(row.answers_sha256 or "none", row.answers_command)]),
        join([verdict, _list(row.reasons)]),
    ]


def _check(one: PlatformCheck) -> Html:
    return tag("div", _command(f"{one.name}: {one.outcome}", one.command), _list(one.reasons))


def _command(said: str, command: str) -> Html:
    return tag("details", tag("summary", said), tag("code", foreign(command, limit=2000)))


def _list(reasons: tuple[str, ...]) -> Html:
    return tag("ul", *(tag("li", foreign(reason)) for reason in reasons), class_="why") if reasons else join([])


def _text(text: str) -> str:
    """A run's own words in a cell of Markdown: no line break, no column and no markup of theirs."""
    flat = " ".join(clean(text).split())
    for mark in "\\`*_[]|":
        flat = flat.replace(mark, f"\\{mark}")
    return flat.replace("&", "&amp;").replace("<", "&lt;")
