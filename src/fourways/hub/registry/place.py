"""Where the registry is: one SQLite file of the user's own, or a PostgreSQL database by URL.

Which one counts: what the command says (`--registry`), else `$FOURWAYS_REGISTRY`, else `fourways/registry.db` in the
data folder of the XDG Base Directory Specification: not in the cache, because it cannot be made again.

A URL may hold a password: it is never printed; `Place.shown` is what a message may say.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from fourways.core.errors import UserError

VARIABLE = "FOURWAYS_REGISTRY"
_POSTGRES = ("postgresql", "postgresql+psycopg", "postgres")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_FORMS = "name a file, or sqlite:///FILE, or postgresql://USER@HOST/DATABASE"
_MEANT_AS_URL = re.compile(r"(postgres|postgresql|sqlite)(\+\w+)?:", re.IGNORECASE)
"""With a slash too few it would be a file, and the password a part of its name."""
_SHOWN_OPTIONS = ("host", "port")


@dataclass(frozen=True, slots=True)
class Place:
    """Exactly one of `file` (SQLite) and `url` (PostgreSQL) is set. named: by the user, so that its folder must be
    there: a slip of the pen must not make folders."""

    file: Path | None = None
    url: str | None = field(default=None, repr=False)
    named: bool = True

    def is_there(self) -> bool:
        """False: a file that was never made, so nothing is registered. Of a server nothing is known before asking."""
        return self.file is None or self.file.exists()

    @property
    def shown(self) -> str:
        """For messages: the file, or the URL without its password and options."""
        if self.url is None:
            return str(self.file)
        from sqlalchemy import make_url

        url = make_url(self.url)
        options = {name: value for name, value in url.query.items() if name in _SHOWN_OPTIONS}
        return url.set(drivername="postgresql", query=options).render_as_string(hide_password=True)


def in_force(given: str | None = None) -> Place:
    """The registry that counts here; the module says which. Raises UserError for a word that names none."""
    word, said_by = (given, "--registry") if given is not None else (os.environ.get(VARIABLE), VARIABLE)
    if not word:
        if given is not None:
            raise UserError(f"{said_by} is empty", hint=_FORMS)
        return Place(file=_data_home() / "registry.db", named=False)
    scheme, separator, rest = word.partition("://")
    if not separator and not _MEANT_AS_URL.match(word):
        return _of_file(word, said_by)
    if scheme in _SQLITE:
        return _of_file(rest.removeprefix("/"), said_by)
    if not separator:
        raise UserError(f"{said_by}: there is no :// in the URL", hint=_FORMS)
    if scheme not in _POSTGRES:
        named = repr(scheme) if scheme.isalnum() else "what stands before ://"
        raise UserError(f"{said_by}: a registry cannot be kept by {named}", hint=_FORMS)
    return _of_server(rest, said_by)


def _data_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share") / "fourways"


def _of_file(word: str, said_by: str) -> Place:
    if not word or "?" in word or word == ":memory:":
        raise UserError(f"{said_by}: {word!r} is no file for a registry", hint=_FORMS)
    file = Path(word).expanduser().absolute()
    if file.is_dir():
        raise UserError(f"{said_by}: {file} is a folder", hint=f"name a file in it: {file / 'registry.db'}")
    return Place(file=file)


def _of_server(rest: str, said_by: str) -> Place:
    """What cannot be read is not repeated: there may be a password in it."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    url = f"postgresql+psycopg://{rest}"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            f"{said_by}: the PostgreSQL URL cannot be read",
            hint="postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a password, write @ : / % as %40 %3A %2F %25",
        ) from error
    if not parsed.database:
        raise UserError(f"{said_by}: the PostgreSQL URL names no database", hint="postgresql://USER@HOST/DATABASE")
    return Place(url=url)
