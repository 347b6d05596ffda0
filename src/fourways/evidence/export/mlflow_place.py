"""Where MLflow keeps runs: a server, a database, or a folder that holds a database and the artifacts.

A database is tried here first: MLflow goes on trying one that is not there for many minutes, and does not say which
driver it lacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fourways.core.errors import FourwaysError, UserError
from fourways.evidence.redact import redact

_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class Place(NamedTuple):
    """A tracking URI, and where a new experiment's artifacts go, None where the server knows that itself."""

    uri: str
    artifacts: str | None


def place(where: str) -> Place:
    """where: as `--out` has it. Raises UserError for what is no such place, FourwaysError for a database that does not
    answer."""
    if "://" not in where:
        return _folder(where)
    scheme = urlsplit(where).scheme.partition("+")[0]
    if scheme in _SERVERS:
        return Place(where, None)
    if scheme not in _DATABASES:
        raise UserError(
            f"--out {redact(where)} is no tracking store that can be written to",
            hint="http://host:5000, sqlite:///folder/mlflow.db, or a folder",
        )
    beside = _artifacts_beside(where) if scheme == "sqlite" else None
    _try(where)
    return Place(where, beside)


def _folder(where: str) -> Place:
    folder = Path(where).expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {where} is a file", hint="name a folder, or a URI such as sqlite:///mlflow.db")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {where}: {error.strerror}", hint="name a folder that can be made") from error
    return Place(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())


def _artifacts_beside(where: str) -> str:
    from sqlalchemy import make_url

    database = make_url(where).database
    if not database or database.startswith((":memory:", "file:")):
        raise UserError(f"--out {where} names no file", hint="sqlite:///folder/mlflow.db, or a folder")
    folder = Path(database).resolve().parent
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder", hint="make it first, or give a folder as --out")
    return (folder / "artifacts").as_uri()


def _try(where: str) -> None:
    """Asks for its tables, and changes nothing."""
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        engine = create_engine(where)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UserError(f"--out {redact(where)}: {_line(error)}", hint="dialect+driver://user@host/database") from error
    except ImportError as error:
        raise UserError(
            f"--out {redact(where)}: Python's driver {error.name} is not installed",
            hint="pip install it, or name another: postgresql+psycopg://…",
        ) from error
    try:
        inspect(engine).get_table_names()
    except SQLAlchemyError as error:
        raise FourwaysError(
            f"MLflow's database {redact(where)} does not answer: {_line(error)}",
            hint="is it the address of a database, and does it run?",
        ) from error
    finally:
        engine.dispose()


def _line(error: Exception) -> str:
    return redact(" ".join(str(getattr(error, "orig", None) or error).split()))[:300]
