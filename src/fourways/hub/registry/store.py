"""The registry: models and adapters by name.

Every call is one transaction. That a name is unique is the database's own constraint, so of two processes that register
one name at once exactly one succeeds. An object may be used by several threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from types import TracebackType
from typing import Self

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fourways.core.errors import FourwaysError, UserError
from fourways.hub.registry.entry import Entry, check_name
from fourways.hub.registry.faults import database_errors
from fourways.hub.registry.opening import connect, writing
from fourways.hub.registry.place import Place
from fourways.hub.registry.schema import ModelRow

_JSON = ("manifest", "adapter", "stamps")
_PLAIN = ("name", "kind", "folder", "host", "added", "source", "revision", "identity", "base_identity")


class NameTaken(UserError):
    """The name is registered already."""


class UnknownName(UserError):
    """Nothing is registered by this name; the hint has the nearest one."""


class Registry:
    """Opens the registry at a place, and makes it where there is none. Raises as `connect` does."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._engine = connect(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def entries(self) -> list[Entry]:
        """All, by name."""
        with self._reading() as session:
            return [_entry(row) for row in session.scalars(select(ModelRow).order_by(ModelRow.name))]

    def get(self, name: str) -> Entry:
        """Raises UnknownName."""
        with self._reading() as session:
            return _entry(self._row(session, name))

    def add(self, entry: Entry) -> None:
        """Raises NameTaken, UserError for a name that cannot be one, UnknownName for a base that is not registered."""
        check_name(entry.name)
        with self._naming(entry.name), self._writing() as session:
            row = ModelRow()
            self._fill(session, row, entry)
            session.add(row)

    def complete(self, entry: Entry) -> None:
        """Writes what was found by hashing: identity, manifest or adapter, stamps. Raises UnknownName if the entry was
        removed meanwhile, or replaced by another of its name."""
        with self._writing() as session:
            row = self._row(session, entry.name)
            if (row.folder, row.added) != (entry.folder, entry.added):
                raise UnknownName(f"{entry.name} was registered anew by another process, as {row.folder}")
            row.identity, row.source, row.revision = entry.identity, entry.source, entry.revision
            for field in _JSON:
                setattr(row, field, msgspec.to_builtins(getattr(entry, field)))

    def remove(self, name: str) -> tuple[Entry, list[str]]:
        """Forgets a name; no file is touched. Returns what it was, and the adapters that had it as their base. Raises
        UnknownName."""
        with self._writing() as session:
            row = self._row(session, name)
            entry = _entry(row)
            orphans = session.scalars(select(ModelRow.name).where(ModelRow.base_id == row.id).order_by(ModelRow.name))
            names = list(orphans)
            session.delete(row)
            return entry, names

    def rename(self, old: str, new: str) -> None:
        """Raises UnknownName for the old name, NameTaken or UserError for the new one. Adapters follow their base."""
        check_name(new)
        with self._naming(new), self._writing() as session:
            self._row(session, old).name = new

    def _row(self, session: Session, name: str) -> ModelRow:
        row = session.scalars(select(ModelRow).where(ModelRow.name == name)).one_or_none()
        if row is not None:
            return row
        known = list(session.scalars(select(ModelRow.name)))
        close = get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise UnknownName(
            f"nothing is registered as {name!r} in {self.place.shown}",
            hint=f"{meant}`fourways models list` shows what is",
        )

    def _fill(self, session: Session, row: ModelRow, entry: Entry) -> None:
        for field in _PLAIN:
            setattr(row, field, getattr(entry, field))
        for field in _JSON:
            setattr(row, field, msgspec.to_builtins(getattr(entry, field)))
        row.base = None if entry.base is None else self._row(session, entry.base)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with database_errors(self.place), Session(self._engine) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """One transaction; `flush` order does not matter, since one row is written."""
        with database_errors(self.place), Session(writing(self._engine)) as session, session.begin():
            yield session

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """The only constraint that a valid entry can break is that of the name."""
        try:
            yield
        except IntegrityError as error:
            raise NameTaken(
                f"{name} is registered already in {self.place.shown}",
                hint=f"choose another name; `fourways models show {name}` says what it is",
            ) from error


def _entry(row: ModelRow) -> Entry:
    kept = {field: getattr(row, field) for field in (*_PLAIN, *_JSON)}
    try:
        return msgspec.convert({**kept, "base": row.base.name if row.base else None}, Entry)
    except msgspec.ValidationError as error:
        raise FourwaysError(
            f"the registry's entry {row.name} cannot be read: {error}",
            hint="did a newer version of Fourways write it? `fourways models remove` and `add` write it anew",
        ) from error
