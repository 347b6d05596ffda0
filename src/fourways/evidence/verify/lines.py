"""JSON as a published run has it, read strictly: where a run that goes on may have a torn line, this one may not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import msgspec

from fourways.core.errors import FourwaysError
from fourways.core.rows import Row
from fourways.core.run_files import ROWS_FILE
from fourways.evidence.verify.contract import Refused

_row = msgspec.json.Decoder(Row)


def numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, Row]]:
    """(line, row) of the lines after the header, in their order. Raises Refused naming the line that cannot be read."""
    for number, line in enumerate(lines, 2):
        where = f"{ROWS_FILE}, line {number}"
        check_whole(line, where)
        try:
            row = _row.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, FourwaysError, RecursionError) as error:
            raise Refused(f"{where}: not a row: {error}") from error
        check_once(line, where)
        yield number, row


def check_whole(line: bytes, where: str) -> None:
    """Raises Refused for a line without its end."""
    if not line.endswith(b"\n"):
        raise Refused(f"{where}: it is torn")


def check_once(content: bytes, where: str) -> None:
    """Raises Refused for JSON that gives a key twice: one reader takes the first, another the last."""
    try:
        json.loads(content, object_pairs_hook=_once)
    except RecursionError as error:
        raise Refused(f"{where}: it is nested too deeply") from error
    except _Twice as error:
        raise Refused(f"{where}: it gives {error.args[0]!r} twice") from error


class _Twice(Exception):
    """The name that stands twice; it never leaves this file."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return made
