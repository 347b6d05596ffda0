"""What a database refuses, as one line that says which registry, what, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from fourways.core.errors import FourwaysError, UserError
from fourways.hub.registry.place import VARIABLE, Place

_ELSEWHERE = f"name another registry: --registry or {VARIABLE}"
_SERVER_SAYS = {
    "42501": "the user must be allowed to create tables in the database",
    "25006": "the database only reads: is it a replica? " + _ELSEWHERE,
}


@contextmanager
def database_errors(place: Place) -> Iterator[None]:
    """Turns the database's own errors into FourwaysError, or UserError for a file that is no registry. A broken
    constraint is the caller's to explain, and passes."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.IntegrityError) or _sqlstate(error).startswith("23"):
            raise
        raise (_of_file(place, error) if place.url is None else _of_server(place, error)) from error


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _of_file(place: Place, error: DBAPIError) -> FourwaysError:
    code = getattr(error.orig, "sqlite_errorname", "")
    match code.split("_")[1:2]:
        case ["BUSY" | "LOCKED"]:
            return FourwaysError(
                f"the registry {place.shown} is locked by another process", hint="try again when that one is done"
            )
        case ["READONLY" | "PERM"]:
            return FourwaysError(f"the registry {place.shown} may not be written", hint=_ELSEWHERE)
        case ["CANTOPEN"]:
            return FourwaysError(
                f"the registry {place.shown} cannot be opened", hint=f"may you write there? {_ELSEWHERE}"
            )
        case ["FULL"]:
            return FourwaysError(f"the registry {place.shown}: the disk is full", hint="free some space")
        case ["NOTADB" | "CORRUPT"]:
            return UserError(f"{place.shown} is no registry, or it is damaged: {error.orig}", hint=_ELSEWHERE)
        case _:
            return FourwaysError(f"the registry {place.shown}: {error.orig}", hint=_ELSEWHERE)


def _of_server(place: Place, error: DBAPIError) -> FourwaysError:
    said, state = _first_line(place, error), _sqlstate(error)
    if state in _SERVER_SAYS:
        return FourwaysError(f"the registry {place.shown}: {said}", hint=_SERVER_SAYS[state])
    if not state or state.startswith(("08", "57")):
        return FourwaysError(
            f"the registry {place.shown} cannot be reached: {said}",
            hint=f"is the server running, are user, password and database right? {_ELSEWHERE}",
        )
    return FourwaysError(f"the registry {place.shown}: {said}")


def _first_line(place: Place, error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    password = make_url(place.url or "").password
    return lines[0].replace(password, "***") if password else lines[0]
