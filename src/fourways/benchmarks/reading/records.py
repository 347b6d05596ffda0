"""One row of a benchmark's table, and what it must have."""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fourways.core.errors import BenchmarkFormatError

_SHOWN = 60


class MissingColumns(BenchmarkFormatError):
    """The file lacks columns that are needed, which are `missing`."""

    def __init__(self, message: str, *, hint: str, missing: Sequence[str]) -> None:
        super().__init__(message, hint=hint)
        self.missing = tuple(missing)


@dataclass(frozen=True, slots=True)
class Record:
    """One row. where: file and row, for messages. cells: column → text, empty cells left out. nested: column → list or
    object, in formats that have them.

    image reads the bytes of the row's image on demand; image_key is equal for rows about the same image.
    """

    where: str
    cells: dict[str, str]
    image_key: str
    image: Callable[[], bytes] = field(repr=False, compare=False)
    nested: Mapping[str, object] = field(default_factory=dict)

    def need(self, column: str) -> str:
        """The cell's text; raises BenchmarkFormatError where it is empty."""
        if column in self.cells:
            return self.cells[column]
        raise BenchmarkFormatError(
            f"{self.where}: column '{column}' is empty", hint="Fill the cell, or delete the row from the file."
        )

    def number(self, column: str) -> float:
        """The cell as a finite number; raises BenchmarkFormatError where it is none."""
        text = self.need(column)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if abs(value) < float("inf"):
            return value
        raise BenchmarkFormatError(
            f"{self.where}: column '{column}' is {shown(text)}, not a number", hint="Restore the cell."
        )

    def first(self, *columns: str) -> str:
        """The first of the columns that has text here; "" if none has."""
        return next((self.cells[name] for name in columns if name in self.cells), "")

    def lettered(self) -> dict[str, str]:
        """The columns A, B, … that have text: the options of a choice."""
        return {letter: self.cells[letter] for letter in string.ascii_uppercase if letter in self.cells}


def shown(text: str) -> str:
    """A cell in a message: quoted, control characters written out, and short."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def texts_of(value: object) -> tuple[str, ...] | None:
    """The texts of a list of texts, of numbers, or of objects with an `answer`; None if it is no such list."""
    if not isinstance(value, (list, tuple)):
        return None
    found = []
    for one in value:
        inner = one.get("answer") if isinstance(one, dict) else one
        if isinstance(inner, bool) or not isinstance(inner, (str, int, float)):
            return None
        found.append(str(inner))
    return tuple(found)


def check_columns(file: Path, present: Collection[str], needed: Sequence[str]) -> None:
    """Raises BenchmarkFormatError naming every column that is missing. `a|b` asks for one of the two."""
    asked = {name: name.split("|") for name in needed}
    missing = [names[0] for names in asked.values() if not any(name in present for name in names)]
    if missing:
        raise MissingColumns(
            f"{file}: missing column(s) {', '.join(missing)}; found {_listed(present)}",
            hint="Check that this is the file of this benchmark, and that its first line is the header.",
            missing=missing,
        )


def names_of(file: Path, header: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """What each column of the header is read as: columns maps what is wanted to what the file calls it; the others keep
    their name, and "" stands where that name was given to another column.

    Raises BenchmarkFormatError for a column that the file does not have."""
    for wanted, name in columns.items():
        if name not in header:
            raise BenchmarkFormatError(
                f"{file}: no column {shown(name)}, which was named for '{wanted}'; found {_listed(header)}",
                hint=f'Correct the map: {{"{wanted}": "one of them"}}.',
            )
    roles = {name: wanted for wanted, name in columns.items()}
    return [roles.get(name, "" if name in columns else name) for name in header]


def _listed(names: Collection[str]) -> str:
    return ", ".join(name if len(name) <= _SHOWN else name[:_SHOWN] + "…" for name in list(names)[:_SHOWN]) or "none"
