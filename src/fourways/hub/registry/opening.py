"""Opens a registry: connects, and brings the schema to this version's.

The schema's version is read first, and nothing is written if it is the right one. Else the steps that lack are taken
in one transaction under a lock (SQLite: the write lock of the file, taken at BEGIN; PostgreSQL: an advisory lock that
ends with the transaction), and the version is read again after the lock was got: of two processes that open an empty
database at once, one makes the tables and the other finds them made. A transaction that fails leaves the database as
it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text

from fourways.core.errors import FourwaysError, UserError
from fourways.hub.registry.faults import database_errors
from fourways.hub.registry.migrations import HEAD, KNOWN
from fourways.hub.registry.place import Place
from fourways.hub.registry.schema import TABLE, VERSION_TABLE

_WAIT_S = 30
_LOCK_KEY = 0x666F757277617973
_BEGIN = "sqlite_begin"


def connect(place: Place) -> Engine:
    """An engine on the registry, its schema brought up to date. Raises FourwaysError if the database cannot be used,
    UserError if it is no registry or a newer version's."""
    engine = _on_file(place.file, named=place.named) if place.file is not None else _on_server(place)
    try:
        with database_errors(place):
            _bring_up(engine, place)
    except BaseException:
        engine.dispose()
        raise
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine, for transactions that write: on SQLite the lock is taken at their beginning, so that one waits
    for another instead of failing half-way."""
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def _on_file(file: Path, *, named: bool) -> Engine:
    if named and not file.parent.is_dir():
        raise UserError(
            f"a registry at {file}: there is no folder {file.parent}",
            hint="make the folder, or name another: --registry",
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FourwaysError(
            f"the registry's folder {file.parent} cannot be made: {error.strerror}",
            hint="name another: --registry FILE",
        ) from error
    engine = create_engine(URL.create("sqlite", database=str(file)), connect_args={"timeout": _WAIT_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    """The driver's own BEGIN would leave the making of tables outside the transaction."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _on_server(place: Place) -> Engine:
    try:
        return create_engine(place.url or "", connect_args={"connect_timeout": 10}, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise UserError(
            f"a registry on PostgreSQL needs the package {error.name}", hint="pip install 'fourways[postgres]'"
        ) from error


def _bring_up(engine: Engine, place: Place) -> None:
    with engine.connect() as connection:
        if _version(connection, place) == HEAD:
            return
    with writing(engine).begin() as connection:
        if place.url is not None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        if _version(connection, place) != HEAD:
            _migrate(connection)


def _version(connection: Connection, place: Place) -> str | None:
    """The schema's version; None of an empty database."""
    found = inspect(connection)
    if not found.has_table(VERSION_TABLE):
        if found.has_table(TABLE):
            raise UserError(f"{place.shown} has a table {TABLE} that is no registry's", hint="name another database")
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608  # a constant
    if version is not None and version not in KNOWN:
        raise UserError(
            f"the registry {place.shown} was made by a newer version of Fourways (schema {version}; this one: {HEAD})",
            hint="install the newer version, or name another registry: --registry",
        )
    return version


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
