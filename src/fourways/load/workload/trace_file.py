"""Recorded traffic: when each request came, and how large it was.

JSON lines of `TraceLine`, or a CSV file with the columns of the Azure LLM inference traces (TIMESTAMP, ContextTokens,
GeneratedTokens, and NumImages in the multimodal one of 2025; AzurePublicDataset on GitHub).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from fourways.core.errors import UserError
from fourways.core.yaml_file import split_error
from fourways.load.workload.spec import MOST_VISUALS, MOST_WORDS, check_size_of

MOST_LINES = 1_000_000
Length = Annotated[int, msgspec.Meta(ge=1, le=MOST_WORDS)]
_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_IMAGES = "NumImages"
_LATEST_S = 1e12
"""Seconds since 1970 are below it; milliseconds, which would make of an hour weeks, are not."""


class TraceLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request. at_s: seconds, from any origin, never less than the line before. images: WIDTHxHEIGHT each, or how
    many there are, of the workload's sizes. What is None is as the workload's file says."""

    at_s: float
    images: (
        Annotated[list[str], msgspec.Meta(max_length=MOST_VISUALS)]
        | Annotated[int, msgspec.Meta(ge=0, le=MOST_VISUALS)]
        | None
    ) = None
    prompt_tokens: Length | None = None
    prompt_words: Length | None = None
    answer_tokens: Length | None = None
    adapter: str | None = None


def read_trace(path: Path) -> tuple[TraceLine, ...]:
    """Raises UserError naming the file, the line, and what is allowed."""
    reader = _csv_lines if path.suffix.lower() == ".csv" else _json_lines
    try:
        lines = tuple(_in_order(reader(path), path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: it is not UTF-8 text", hint="save it as UTF-8; unpack it if it is compressed"
        ) from error
    if not lines:
        raise UserError(f"{path} holds no requests", hint='a line is, for example, {"at_s": 0.5, "answer_tokens": 64}')
    return lines


def _in_order(lines: Iterator[TraceLine], path: Path) -> Iterator[TraceLine]:
    before = float("-inf")
    for number, line in enumerate(lines, 1):
        if number > MOST_LINES:
            raise UserError(f"{path} has more than {MOST_LINES:,} requests", hint="replay a part of it")
        if not before <= line.at_s < _LATEST_S:
            raise UserError(
                f"{path}, request {number}: at_s goes back in time, or is no instant",
                hint="at_s is in seconds; sort the file",
            )
        before = line.at_s
        yield line


def _json_lines(path: Path) -> Iterator[TraceLine]:
    decode = msgspec.json.Decoder(TraceLine).decode
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if text.strip():
                yield _checked(lambda text=text: decode(text), f"{path}, line {number}")  # type: ignore[misc]  # text is bound


def _csv_lines(path: Path) -> Iterator[TraceLine]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        first: datetime | None = None
        try:
            if missing := [name for name in _AZURE if name not in (table.fieldnames or ())]:
                raise UserError(f"{path} lacks the columns {', '.join(missing)}", hint=f"it needs {', '.join(_AZURE)}")
            for row in table:
                where = f"{path}, line {table.line_num}"
                at = _instant(row["TIMESTAMP"], where)
                first = first or at
                raw: dict[str, object] = {
                    "at_s": (at - first).total_seconds(),
                    "images": _count(row, _IMAGES, where) if row.get(_IMAGES) else None,
                    # Some requests of these traces generated nothing; nobody can ask for that.
                    "prompt_tokens": max(1, _count(row, "ContextTokens", where)),
                    "answer_tokens": max(1, _count(row, "GeneratedTokens", where)),
                }
                yield _checked(lambda raw=raw: msgspec.convert(raw, TraceLine), where)  # type: ignore[misc]  # raw is bound
        except csv.Error as error:
            raise UserError(f"{path}, line {table.line_num}: it is no CSV: {error}") from None


def _instant(text: str | None, where: str) -> datetime:
    """ISO 8601, UTC where it does not say; digits below a microsecond, which these files have, are dropped."""
    whole, point, rest = (text or "").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    try:
        at = datetime.fromisoformat(f"{whole}{point}{digits[:6]}{rest[len(digits) :]}")
    except ValueError:
        raise UserError(f"{where}: TIMESTAMP {text!r} is no time", hint="2023-11-16 18:17:03.9799600") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _count(row: dict[str, str | None], column: str, where: str) -> int:
    text = row[column] or ""
    if not (text.isdecimal() and len(text) < 19):
        raise UserError(f"{where}: {column} {text[:40]!r} is no whole number")
    return int(text)


def _checked(read: Callable[[], TraceLine], where: str) -> TraceLine:
    try:
        line = read()
    except msgspec.ValidationError as error:
        what, field = split_error(error)
        hint = f"the fields are {', '.join(TraceLine.__struct_fields__)}"
        raise UserError(f"{where}: {f'{field}: ' if field else ''}{what}", hint=hint) from None
    except msgspec.DecodeError as error:
        raise UserError(f"{where}: it is not JSON: {error}") from None
    for size in line.images if isinstance(line.images, list) else ():
        try:
            check_size_of(size, "images")
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
    if line.prompt_tokens is not None and line.prompt_words is not None:
        raise UserError(f"{where}: give one of prompt_tokens and prompt_words")
    return line
