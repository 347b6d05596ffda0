"""XLSX as the kits read it: every text a text, whatever it begins with."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence

from fourways.benchmarks.predictions.found import Oddities

Cell = str | int | None
LONGEST = 32_767
"""Characters that a cell can hold."""
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_FORMULA = ("=", "+", "-", "@")


def workbook(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]], oddities: Oddities) -> bytes:
    """One sheet with a header. A text that could be taken for a formula is marked as text, and a control character that
    the format refuses is written `_xHHHH_` and counted. No text may be longer than `LONGEST`."""
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(list(columns))
    for row in rows:
        cells = []
        for name in columns:
            value = row.get(name)
            cell = WriteOnlyCell(sheet)
            if isinstance(value, str):
                cell.value = _written(value, oddities)
                cell.data_type = "s"
                if value.startswith(_FORMULA):
                    cell.quotePrefix = True
            else:
                cell.value = value
            cells.append(cell)
        sheet.append(cells)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _written(text: str, oddities: Oddities) -> str:
    if "\r" in text:
        oddities.note("reply with a carriage return, which XLSX turns into a line break")
    refused = len(_REFUSED.findall(text))
    if refused:
        oddities.note("control character that XLSX refuses, written _xHHHH_", count=refused)
    lone = text.encode("utf-8", "replace").decode("utf-8")
    return _REFUSED.sub(lambda found: f"_x{ord(found[0]):04X}_", lone)
