"""One row of a benchmark's table, and what it must have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fourways.core.errors import BenchmarkFormatError


@dataclass(frozen=True, slots=True)
class Record:
    """One row. where: file and row, for messages. cells: column → text, empty cells left out.

    image reads the bytes of the row's image on demand; image_key is equal for rows about the same image.
    """

    where: str
    cells: dict[str, str]
    image_key: str
    image: Callable[[], bytes] = field(repr=False, compare=False)

    def need(self, column: str) -> str:
        """The cell's text; raises BenchmarkFormatError where it is empty."""
        if column in self.cells:
            return self.cells[column]
        raise BenchmarkFormatError(
            f"{self.where}: column '{column}' is empty", hint="Fill the cell, or delete the row from the file."
        )


def check_columns(file: Path, present: Sequence[str], needed: Sequence[str]) -> None:
    """Raises BenchmarkFormatError naming every column that is missing."""
    missing = [name for name in needed if name not in present]
    if missing:
        raise BenchmarkFormatError(
            f"{file}: missing column(s) {', '.join(missing)}; found {', '.join(present) or 'none'}",
            hint="Check that this is the file of this benchmark, and that its first line is the header.",
        )
