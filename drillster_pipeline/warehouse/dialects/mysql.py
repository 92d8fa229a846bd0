"""What MySQL and MariaDB want done their own way: text that is told apart exactly, InnoDB, sessions that last.

Both compare text without regard to case unless told otherwise, and their usual binary collations take ``a`` and
``a `` for the same (PAD SPACE). Ids are opaque, so text here has a collation that is neither. DDL commits the
transaction that it is in: publishing runs none, and preparing is made of steps that may be repeated.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from drillster_pipeline.errors import SettingsError

DIALECTS = ("mysql", "mariadb")
"""SQLAlchemy's names; a URL that begins with ``mysql`` may lead to a MariaDB as well."""
OLDEST_MYSQL, OLDEST_MARIADB = (8, 0, 17), (10, 5)
"""The first MySQL with ``utf8mb4_0900_bin``, and the oldest MariaDB that was still maintained in 2025."""
DDL_WAIT_SECONDS = 15
"""How long DDL waits for queries in its way; while it waits, all later queries on that table wait behind it."""
LOCK_WAIT_SECONDS = 600
"""How long a publish waits where somebody holds rows or a table."""
IDLE_SECONDS = 28_800
"""How long a load may be silent before the server ends its session (the default of the server, which hosts lower)."""

CONNECT_ARGUMENTS = {
    "connect_timeout": 15,
    "charset": "utf8mb4",
    "sql_mode": "TRADITIONAL",
    "init_command": "SET time_zone = '+00:00'",
}
"""Of PyMySQL and mysqlclient. TRADITIONAL: a value that does not fit is an error, never cut or made zero."""

TABLE_OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in DIALECTS
    for option, value in (("engine", "InnoDB"), ("row_format", "DYNAMIC"), ("default_charset", "utf8mb4"))
}
"""For ``sa.Table``: transactions, keys of up to 3,072 bytes, and emoji, whatever the server's defaults are."""


class ExactText(sa.Unicode):
    """A text of bounded length that may be part of a key."""


class ExactLongText(sa.UnicodeText):
    """A text of any length."""


def _collation(dialect: sa.Dialect) -> str:
    # Known when connected: the server may be another than the URL says.
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


@compiles(ExactText, *DIALECTS)
def _spell_text(kind: ExactText, compiler: Any, **_options: Any) -> str:
    return f"VARCHAR({kind.length}) CHARACTER SET utf8mb4 COLLATE {_collation(compiler.dialect)}"


@compiles(ExactLongText, *DIALECTS)
def _spell_long_text(_kind: ExactLongText, compiler: Any, **_options: Any) -> str:
    return f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {_collation(compiler.dialect)}"


def ready(connection: sa.Connection, schema: str | None) -> None:
    """See that the server is new enough and the database is there; make it where that is allowed.

    Raises SettingsError.
    """
    is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
    version = connection.dialect.server_version_info or ()
    if version < (OLDEST_MARIADB if is_mariadb else OLDEST_MYSQL):
        raise SettingsError(
            f"The server of DRILLSTER_WAREHOUSE_URL is {'MariaDB' if is_mariadb else 'MySQL'} "
            f"{'.'.join(map(str, version))}, which is too old. It takes MySQL {'.'.join(map(str, OLDEST_MYSQL))} or "
            f"MariaDB {'.'.join(map(str, OLDEST_MARIADB))}, or newer"
        )
    query = sa.text("SELECT 1 FROM information_schema.schemata WHERE schema_name = :name")
    if schema is not None and connection.scalar(query, {"name": schema}) is None:
        _make_database(connection, schema)


def _make_database(connection: sa.Connection, name: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(name)
    try:
        connection.exec_driver_sql(f"CREATE DATABASE IF NOT EXISTS {quoted} CHARACTER SET utf8mb4")
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise SettingsError(
            f"There is no database {name} that the user of DRILLSTER_WAREHOUSE_URL may use, and it may not make one. "
            f"Have an administrator run: CREATE DATABASE {name} CHARACTER SET utf8mb4; GRANT ALL ON {name}.* TO …"
        ) from None


def be_brief(connection: sa.Connection) -> None:
    """Have DDL give up soon where a query is in its way."""
    connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {DDL_WAIT_SECONDS}")


def be_patient(connection: sa.Connection) -> None:
    """Lift limits that are meant for people: a load may be silent, or busy, for minutes."""
    limits = {
        "wait_timeout": IDLE_SECONDS,
        "net_read_timeout": LOCK_WAIT_SECONDS,
        "net_write_timeout": LOCK_WAIT_SECONDS,
        "lock_wait_timeout": LOCK_WAIT_SECONDS,
        "innodb_lock_wait_timeout": LOCK_WAIT_SECONDS,
    }
    unlimited = (
        ("max_statement_time", "idle_transaction_timeout", "idle_write_transaction_timeout")
        if getattr(connection.dialect, "is_mariadb", False)
        else ("max_execution_time",)
    )
    limits |= dict.fromkeys(unlimited, 0)
    connection.exec_driver_sql("SET SESSION " + ", ".join(f"{name} = {value}" for name, value in limits.items()))


_PLACE = re.compile(
    r"(?:column|key|Column|Field) [`']([^`']+)[`']"
    r"(?: at row \d+| cannot be null| in '[^']+'| doesn't have a default value)?[\"')]*$"
)


def place_of(message: str) -> str:
    """The column or key that an error of the server is about; an empty text where it names none at its very end.

    The rest of the message may quote what could not be written.
    """
    found = _PLACE.search(message)
    return f", {found[1]}" if found else ""
