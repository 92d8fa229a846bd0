"""Errors of a database, told to an operator: what happened and what to do, never with a value of a row.

A driver's message may quote the row that it could not write ("Key (email_address)=(…) already exists"), and
SQLAlchemy adds the statement and its parameters. So what leaves this package is built from codes and names only,
and the original is not chained to it.
"""

from __future__ import annotations

import re
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from drillster_pipeline.errors import Busy, Interrupted, PipelineError, Refused, SettingsError, Unavailable

from .dialects.mysql import place_of

_SQLITE: tuple[tuple[str, type[PipelineError], str], ...] = (
    ("database is locked", Busy, "another program is writing to the file; try again when it is done"),
    ("database table is locked", Busy, "another program is using the file; try again when it is done"),
    (
        "is full",
        Unavailable,
        "the disk of the warehouse, or of temporary files (see SQLITE_TMPDIR), is full; make room and run again",
    ),
    (
        "disk i/o error",
        Unavailable,
        "the disk of the warehouse, or of temporary files (see SQLITE_TMPDIR), is full or fails; mend it and run again",
    ),
    ("readonly database", SettingsError, "the file may not be written; check its owner and mode, and its folder's"),
    ("unable to open", SettingsError, "the file cannot be opened; check that its folder exists and may be written"),
    ("not a database", SettingsError, "the file is not an SQLite database; name another in DRILLSTER_WAREHOUSE_URL"),
    ("malformed", Unavailable, "the file is damaged; restore it from a backup, or replay the archive into a new one"),
    ("no such", Refused, "a table or column is missing; the next load makes it, and a backfill fills it"),
)

_POSTGRESQL: tuple[tuple[str, type[PipelineError], str], ...] = (
    ("57014", Unavailable, "the statement was cancelled by an administrator or a timeout; run again"),
    ("57", Interrupted, "the server went down or ended the session; run again when it is up"),
    ("08", Interrupted, "the connection was lost; run again when the server can be reached"),
    (
        "53100",
        Unavailable,
        "the disk of the database server, or of its temporary tables, is full; make room there and run again",
    ),
    ("53300", Interrupted, "the server has no connection left; end some, or run again later"),
    ("53", Unavailable, "the server is at a limit of its memory or configuration; raise it and run again"),
    ("55P03", Busy, "a query holds a lock on a table that must be changed; run again when it is done"),
    ("40", Interrupted, "another session was in the way; run again"),
    (
        "25006",
        SettingsError,
        "the server or the database may only be read, as a standby may; name the one that takes writes",
    ),
    ("2BP01", Refused, "views or tables of others are built on what is to be removed; drop those, and run again"),
    ("28", SettingsError, "the server does not accept the role or its password; check DRILLSTER_WAREHOUSE_URL"),
    ("3D000", SettingsError, "there is no such database; check DRILLSTER_WAREHOUSE_URL"),
    ("3F000", SettingsError, "there is no such schema; check DRILLSTER_WAREHOUSE_SCHEMA"),
    ("42501", SettingsError, "the role may not do that; it must own the schema and its tables"),
    ("42P01", Refused, "a table is missing; the next load makes it, and a backfill fills it"),
    ("42703", Refused, "a column is missing; the next load makes it, and a backfill fills it"),
)

_MYSQL: tuple[tuple[set[int], type[PipelineError], str], ...] = (
    ({1205, 1213, 3058, 3572}, Busy, "another session was in the way; run again when it is done"),
    ({1317, 1969, 3024}, Unavailable, "the statement was cancelled by an administrator or a timeout; run again"),
    ({1040, 1203, 1226}, Unavailable, "the server takes no more connections; run again later, or raise its limit"),
    (
        {3, 1021, 1030, 1041, 1114, 1037},
        Unavailable,
        "the server has no room left (disk or memory); make some and run again",
    ),
    (
        {1053, 1079, 1152, 1159, 1161, 1184, 1927, 2006, 2013, 2055, 4031},
        Interrupted,
        "the connection was lost; run again when the server can be reached",
    ),
    (
        {1153, 2020},
        SettingsError,
        "a row is larger than the server takes; raise its max_allowed_packet to 64 MB",
    ),
    ({1045, 1698, 2059}, SettingsError, "the server does not accept the user or its password"),
    ({1049}, SettingsError, "there is no such database; check DRILLSTER_WAREHOUSE_URL"),
    (
        {1044, 1142, 1143, 1227, 1370},
        SettingsError,
        "the user may not do that; it needs all rights on its database (GRANT ALL ON database.* TO …)",
    ),
    ({1036, 1290, 1792, 1836}, SettingsError, "the server or the table may only be read; name one that takes writes"),
    ({1146}, Refused, "a table is missing; the next load makes it, and a backfill fills it"),
    ({1054}, Refused, "a column is missing; the next load makes it, and a backfill fills it"),
)
"""Numbers that MySQL and MariaDB give to errors, and those of their client library (from 2000)."""
_MYSQL_TLS = 2026
_BROKEN_OFF = re.compile(r"eof|time|reset|syscall", re.IGNORECASE)
"""Of a handshake that a server which goes down does not finish, in the words of MySQL's own client."""
_UNREACHABLE = (
    "the database cannot be reached, or the connection was lost ({}); check DRILLSTER_WAREHOUSE_URL (in a password, "
    "/ and @ are written %2F and %40) and that the server is up, then run again"
)


_TLS = re.compile(r"does not support SSL|certificate|SSL error: (?!unexpected eof)", re.IGNORECASE)
"""What libpq says (it has no codes) where TLS is the trouble, and not a connection that breaks under it."""
_NO_SUCH_SETTING = re.compile(
    r"(connection is bad: )?(invalid (\w+ value|port number|connection option)|bad value for \w+)"
)
"""How psycopg and libpq begin before they connect to anything."""


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Turn errors of the database inside the block into PipelineErrors that say what was being done.

    Raises Busy, Interrupted, Unavailable, SettingsError, Refused, or PipelineError where the cause is not known.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _translated(error.orig, doing, lost=error.connection_invalidated) from None
    except sqlite3.Error as error:
        raise _translated(error, doing, lost=False) from None
    except sa.exc.SQLAlchemyError as error:
        raise PipelineError(f"Warehouse: {doing} failed ({type(error).__name__})") from None
    except Exception as error:
        # Errors of a driver that was called directly (COPY) do not pass through SQLAlchemy.
        if getattr(error, "sqlstate", "") == "":
            raise
        raise _translated(error, doing, lost=False) from None


def _translated(error: BaseException | None, doing: str, *, lost: bool) -> PipelineError:
    name = type(error).__name__
    if isinstance(error, sqlite3.Error):
        # SQLite names tables and columns in its messages, never values.
        text = str(error)
        for part, kind, advice in _SQLITE:
            if part in text.lower():
                return kind(f"Warehouse: {doing} failed: {advice} (SQLite: {text})")
        return PipelineError(f"Warehouse: {doing} failed (SQLite: {text})")
    number = next((argument for argument in getattr(error, "args", ()) if isinstance(argument, int)), None)
    if number is not None:
        return _of_mysql(f"Warehouse: {doing} failed", number, error, lost=lost)
    state = getattr(error, "sqlstate", None) or ""
    place = _place(error)
    for prefix, kind, advice in _POSTGRESQL:
        if state.startswith(prefix):
            return kind(f"Warehouse: {doing} failed: {advice} ({name}{place}, SQLSTATE {state})")
    if state:
        return PipelineError(f"Warehouse: {doing} failed ({name}{place}, SQLSTATE {state})")
    if setting := _NO_SUCH_SETTING.match(str(error)):
        return SettingsError(
            f"Warehouse: {doing} failed: the driver does not take a setting in DRILLSTER_WAREHOUSE_URL ({setting[2]})"
        )
    if _TLS.search(str(error)) and not lost:
        return SettingsError(
            f"Warehouse: {doing} failed: TLS with the server did not come about as the URL asks: it has none, or its "
            "certificate is not trusted or for another host; check sslmode and sslrootcert in DRILLSTER_WAREHOUSE_URL"
        )
    if _is_refusal(error):
        return SettingsError(
            f"Warehouse: {doing} failed: the server answers, and does not let us in; check the role, the password and "
            f"the name of the database in DRILLSTER_WAREHOUSE_URL ({name})"
        )
    if lost or name in {"OperationalError", "InterfaceError", "ConnectionTimeout"}:
        return Interrupted(f"Warehouse: {doing} failed: {_UNREACHABLE.format(name)}")
    return PipelineError(f"Warehouse: {doing} failed ({name})")


def _of_mysql(failed: str, number: int, error: BaseException | None, *, lost: bool) -> PipelineError:
    """An error by its number, as the drivers of MySQL, MariaDB and some others give it."""
    name = f"{type(error).__name__} {number}{place_of(str(error))}"
    if (number == _MYSQL_TLS and not _BROKEN_OFF.search(str(error))) or _is_untrusted(error):
        return SettingsError(
            f"{failed}: TLS with the server did not come about as the URL asks: it has none, or its certificate is not "
            f"trusted or for another host; check ssl_ca and the like in DRILLSTER_WAREHOUSE_URL ({name})"
        )
    for numbers, kind, advice in _MYSQL:
        if number in numbers:
            return kind(f"{failed}: {advice} ({name})")
    told_by_server = 1000 <= number < 2000 or number >= 3000
    if lost or (isinstance(error, Exception) and not told_by_server):
        return Interrupted(f"{failed}: {_UNREACHABLE.format(name)}")
    return PipelineError(f"{failed} ({name})")


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether PyMySQL could not connect because of the server's certificate."""
    return isinstance(getattr(error, "original_exception", None), ssl.SSLCertVerificationError)


def _is_refusal(error: BaseException | None) -> bool:
    """Whether a PostgreSQL server refused a new connection: its driver gives these errors no code.

    Known by words, which may be in another language; then it is told as a server that can't be reached.
    """
    text = str(error)
    return "FATAL: " in text and not any(words in text for words in _PASSING)


_PASSING = ("starting up", "shutting down", "recovery", "not accepting", "too many", "slots", "terminating")
"""Words of refusals that another attempt may not meet."""


def _place(error: BaseException | None) -> str:
    diagnosis = getattr(error, "diag", None)
    names = [
        f"{word} {value}"
        for word, value in (
            ("table", getattr(diagnosis, "table_name", None)),
            ("column", getattr(diagnosis, "column_name", None)),
            ("constraint", getattr(diagnosis, "constraint_name", None)),
        )
        if value
    ]
    return f", {', '.join(names)}" if names else ""
