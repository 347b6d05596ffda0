"""The lines of rows.jsonl, read strictly: where a run that goes on may have a torn line, a published one may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from fourways.core.errors import FourwaysError
from fourways.core.rows import Row
from fourways.evidence.verify.contract import Refused

_row = msgspec.json.Decoder(Row)


def numbered(path: Path) -> Iterator[tuple[int, Row]]:
    """(line, row) in their order; line 1 is the header. Raises Refused naming the line that cannot be read."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                raise Refused(f"{path.name}, line {number}: it is torn")
            if number == 1:
                continue
            try:
                yield number, _row.decode(line)
            except (msgspec.DecodeError, FourwaysError, RecursionError) as error:
                raise Refused(f"{path.name}, line {number}: not a row: {error}") from error
