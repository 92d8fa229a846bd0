"""From a URL to an engine that behaves the same everywhere: real transactions, no secret in any message.

pysqlite begins transactions when it sees fit and lets DDL slip out of them; here it is put in autocommit mode and
BEGIN is sent by us, so that a failed publish or migration leaves the file as it was. A writer that begins with
``BEGIN`` and writes later can fail halfway on a newer snapshot, so writers begin with ``BEGIN IMMEDIATE``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from drillster_pipeline.errors import SettingsError

from .dialects import mysql

SQLITE_BUSY_SECONDS = 120.0
"""How long a statement waits for another program's write lock on the file: long enough for somebody's VACUUM."""
CONNECT_SECONDS = 15
"""How long PostgreSQL may take to answer, so that a wrong host is an error and not a night of waiting."""
ALIVE = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
"""Seconds of silence, seconds between probes, and how many: after two minutes the other side is taken for dead."""
QUERY_CACHE = 3_000
"""Compiled statements to keep: a load of all tables has several hundred of its own."""
BEGIN_OPTION = "sqlite_begin"
"""Execution option of a connection: how its next transactions begin on SQLite."""

TRIED = ("sqlite", "postgresql", *mysql.DIALECTS)
"""Dialects that tests load a real database of."""

_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgres+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
"""The driver that a plain URL picks."""
_MYSQL_DRIVERS = {"pymysql", "mysqldb"}


def parse_url(text: str, *, schema: str | None) -> URL:
    """The URL of a warehouse, checked; PostgreSQL picks psycopg 3 by itself, MySQL and MariaDB PyMySQL.

    Raises SettingsError, which never repeats the URL: it may hold a password.
    """
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(
            "DRILLSTER_WAREHOUSE_URL is not a database URL. Put there something like "
            "sqlite:///data/warehouse.sqlite or postgresql://user:password@host/database"
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() == "sqlite":
        _check_sqlite(url, schema)
    if url.get_backend_name() in mysql.DIALECTS and not (url.database or schema):
        raise SettingsError(
            "DRILLSTER_WAREHOUSE_URL names no database. Add one (mysql://user:password@host/database), or name one in "
            "DRILLSTER_WAREHOUSE_SCHEMA"
        )
    return url


def _check_sqlite(url: URL, schema: str | None) -> None:
    name = url.database or ""
    if name in {"", ":memory:"} or "mode=memory" in name or ":memory:" in name or url.query.get("mode") == "memory":
        raise SettingsError(
            "DRILLSTER_WAREHOUSE_URL names an SQLite database in memory, which is gone when the program ends. "
            "Name a file: sqlite:///data/warehouse.sqlite"
        )
    if schema is not None:
        raise SettingsError(
            "DRILLSTER_WAREHOUSE_SCHEMA is set, but SQLite has no schemas. Leave it out, or use PostgreSQL"
        )


def sqlite_file(url: URL) -> Path | None:
    """The file of an SQLite URL; None for other databases."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    name = url.database
    if name.startswith("file:"):
        name = name.removeprefix("file:").split("?", 1)[0]
    # Resolved, so that two ways to name a file lead to the same lock.
    return Path(name).resolve()


def create_engine(url: URL) -> sa.Engine:
    """An engine for ``url``; creates the folder of an SQLite file. Nothing is connected yet.

    Raises SettingsError where the driver is not installed, or the folder cannot be made.
    """
    file = sqlite_file(url)
    arguments: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"The folder of the warehouse, {file.parent}, cannot be made ({error.strerror}). "
                "Name another file in DRILLSTER_WAREHOUSE_URL"
            ) from None
        arguments = {"timeout": SQLITE_BUSY_SECONDS}
    elif url.drivername == "postgresql+psycopg":
        arguments = {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "drillster-pipeline",
            # A role, a database or PGCLIENTENCODING may ask for another, in which names would be damaged.
            "client_encoding": "utf8",
            **ALIVE,
        }
    elif url.get_backend_name() in mysql.DIALECTS and url.drivername.partition("+")[2] in _MYSQL_DRIVERS:
        arguments = dict(mysql.CONNECT_ARGUMENTS)
        # SERIALIZABLE would have readers wait for a publish.
        options = {"isolation_level": "REPEATABLE READ"}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    try:
        # Parameters are rows of people; they must not end up in an exception's text.
        engine = sa.create_engine(
            url,
            hide_parameters=True,
            connect_args=arguments,
            pool_pre_ping=file is None,
            query_cache_size=QUERY_CACHE,
            **options,
        )
    except (sa.exc.NoSuchModuleError, ImportError):
        raise SettingsError(_driver_missing(url)) from None
    except (ValueError, sa.exc.ArgumentError) as error:
        raise _not_taken(error) from None
    sa.event.listen(engine, "do_connect", _connect)
    if url.drivername == "postgresql+psycopg":
        sa.event.listen(engine, "connect", _on_postgresql_connect)
    if file is not None:
        sa.event.listen(engine, "connect", _on_sqlite_connect)
        sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _driver_missing(url: URL) -> str:
    if url.get_backend_name() == "postgresql":
        return (
            "The driver for PostgreSQL is not installed. Install the extra: pip install 'drillster-pipeline[postgres]'"
        )
    if url.drivername.endswith("+pymysql"):
        return (
            "The driver for MySQL and MariaDB is not installed. Install the extra: "
            "pip install 'drillster-pipeline[mysql]'"
        )
    return (
        f"DRILLSTER_WAREHOUSE_URL begins with {url.drivername}://, and no driver for that is installed. Install the "
        "driver that SQLAlchemy names for it, or use sqlite:/// or postgresql://"
    )


def _connect(dialect: sa.Dialect, _record: object, arguments: Any, options: Any) -> Any:
    """Connect; what a driver stumbles over in what the URL gave it is a mistake in the URL, and not an outage."""
    try:
        return dialect.connect(*arguments, **options)
    except _OF_SETTINGS as error:
        if isinstance(error, dialect.loaded_dbapi.Error):
            raise
        raise _not_taken(error) from None


_OF_SETTINGS = (TypeError, ValueError, AttributeError, LookupError, FileNotFoundError, PermissionError)


def _not_taken(error: Exception) -> SettingsError:
    """Without the error's own text, which may repeat what the URL holds."""
    return SettingsError(
        "Warehouse: connecting failed: the driver does not take a setting in DRILLSTER_WAREHOUSE_URL, or finds no file "
        f"that one names ({type(error).__name__}); look at what stands behind the question mark"
    )


def _on_postgresql_connect(connection: Any, _record: object) -> None:
    # Driver and SQLAlchemy read what the server writes, and know it in this form alone. In UTC no moment of the
    # contract is in the year 10000, or before the year 1, which Python does not have.
    connection.autocommit = True
    connection.execute("SET datestyle = 'ISO'; SET timezone = 'UTC'; SET quote_all_identifiers = off")
    connection.autocommit = False


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    # Staged rows go to a file that has no name and vanishes with the process, not to memory.
    connection.execute("PRAGMA temp_store = FILE")
    # A publish of a million rows leaves a large log behind; it is cut back at the next checkpoint.
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _on_sqlite_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(BEGIN_OPTION, '')}")
