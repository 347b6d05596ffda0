"""Where each kind of file keeps the reply, and what the kits see where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fourways.benchmarks.predictions.found import Oddities
from fourways.benchmarks.predictions.records import Row, Value, as_text, column_name, index_of, read_records
from fourways.core.errors import BenchmarkFormatError

REPLY_COLUMNS = (
    "prediction", "pred", "predict", "response", "reply", "output", "text", "model_output", "output_text",
    "generated_text", "model_answer",
)  # fmt: skip
_LOGGED = ("filtered_resps", "resps")
IMAGE_SHA256 = "image_sha256"
"""The column of our own exports that names the image."""
_IMAGES = (IMAGE_SHA256, "image_path", "image_source")
_SHOWN = 20
_TRUTH = ("answer", "answers", "answer_index")
MISSING_REPLY = "nan"
"""What `str` makes of a missing cell in the kits."""


def check_replies(file: Path, rows: Iterable[Row], *names: str) -> None:
    """Raises BenchmarkFormatError where no row has a reply under one of the known names, or of `names`: not a file of
    answers, or one that calls them otherwise; a score of 0 would blame the model for it."""
    known = tuple(dict.fromkeys((*names, *REPLY_COLUMNS)))
    held: set[str] = set()
    for row in rows:
        if any(name in row.cells for name in (*known, *_LOGGED)):
            return
        held.update(row.cells)
    raise BenchmarkFormatError(
        f"{file}: no row has a reply; filled columns: {', '.join(sorted(held)[:_SHOWN]) or 'none'}",
        hint=f"A reply is looked for in {', '.join(known)}.",
    )


def with_gold(rows: Sequence[Row], gold: Path | None, oddities: Oddities) -> list[Row]:
    """The rows with the cells of the gold table's row of the same index, which go before their own. A row that the gold
    table does not have is left out; both ways it is counted."""
    if gold is None:
        return list(rows)
    truth = {index_of(row.cells, 0): row for row in read_records(gold, oddities) if "index" in row.cells}
    if not truth:
        raise BenchmarkFormatError(f"{gold}: no row with an index", hint="Is this the table with the true answers?")
    found = []
    for number, row in enumerate(rows):
        known = truth.pop(index_of(row.cells, number), None)
        if known is None:
            oddities.note("row that the gold table does not have, or whose index stands twice, left out", row.where)
            continue
        own = {name: value for name, value in row.cells.items() if name not in _TRUTH}
        found.append(Row(row.where, {**own, **_without_replies(known.cells)}))
    if truth:
        oddities.note("row of the gold table without a prediction; figures are over the others", count=len(truth))
    return found


def _without_replies(cells: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in cells.items() if name not in (*REPLY_COLUMNS, *_LOGGED)}


def table_reply(row: Row, oddities: Oddities) -> str:
    """The reply of a table's row. A missing one is "nan", counted."""
    found = row.text(*REPLY_COLUMNS)
    if found is None:
        oddities.note('missing reply (an empty cell, NA, None, …): the kits read "nan"', row.where)
        return MISSING_REPLY
    return found


def plain_reply(row: Row, oddities: Oddities, *names: str) -> str:
    """The reply of a JSON record, where "None" is a word like any other; a missing one is empty, counted."""
    value = next((row.cells[name] for name in (*names, *REPLY_COLUMNS) if name in row.cells), None)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        oddities.note("missing reply, read as an empty one", row.where)
        return ""
    if not isinstance(value, str):
        oddities.note("reply that is no text, read as its text", row.where)
    return as_text(value)


def lmms_reply(row: Row, oddities: Oddities) -> str:
    """`filtered_resps` of lmms-eval's samples: a text, or a list whose first element is one."""
    value: Value = row.cells.get("filtered_resps", row.cells.get("resps"))
    for _ in range(3):
        if isinstance(value, list) and value:
            value = value[0]
    if isinstance(value, str):
        return value
    oddities.note("sample without a reply, read as an empty one", row.where)
    return ""


def image_of(cells: Mapping[str, Value], otherwise: str) -> str:
    """What tells a row's image from others: the digest that our own exports write, the image's path, or another."""
    return next((as_text(cells[name]) for name in _IMAGES if name in cells), otherwise)


def lmms_details(row: Row) -> dict[str, Value]:
    """What lmms-eval's tasks log beside a sample: the fields of its document, where older versions keep it, and over
    them those of the metric that logs most."""
    if "filtered_resps" not in row.cells:
        return {}
    document = row.cells.get("doc")
    logged = [value for name, value in row.cells.items() if isinstance(value, dict) and name not in _NOT_METRICS]
    most = max(logged, key=len) if logged else {}
    found = {**(document if isinstance(document, dict) else {}), **most}
    return {column_name(str(name)): value for name, value in found.items() if value is not None}


_NOT_METRICS = frozenset(("doc", "token_counts", "input_media", "arguments"))
