"""Errors of a database, told to an operator: what happened and what to do, never with a value of a row.

A driver's message may quote the row that it could not write ("Key (email_address)=(…) already exists"), and
SQLAlchemy adds the statement and its parameters. So what leaves this package is built from codes and names only,
and the original is not chained to it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from drillster_pipeline.errors import Busy, Interrupted, PipelineError, Refused, SettingsError, Unavailable

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
    ("28", SettingsError, "the server does not accept the role or its password; check DRILLSTER_WAREHOUSE_URL"),
    ("3D000", SettingsError, "there is no such database; check DRILLSTER_WAREHOUSE_URL"),
    ("3F000", SettingsError, "there is no such schema; check DRILLSTER_WAREHOUSE_SCHEMA"),
    ("42501", SettingsError, "the role may not do that; it must own the schema and its tables"),
    ("42P01", Refused, "a table is missing; the next load makes it, and a backfill fills it"),
    ("42703", Refused, "a column is missing; the next load makes it, and a backfill fills it"),
)


_TLS = re.compile(r"does not support SSL|certificate|SSL error: (?!unexpected eof)", re.IGNORECASE)
"""What libpq says (it has no codes) where TLS is the trouble, and not a connection that breaks under it."""


@contextmanager
def told_plainly(doing: str) -> Iterator[None]:
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
    state = getattr(error, "sqlstate", None) or ""
    place = _place(error)
    for prefix, kind, advice in _POSTGRESQL:
        if state.startswith(prefix):
            return kind(f"Warehouse: {doing} failed: {advice} ({name}{place}, SQLSTATE {state})")
    if state:
        return PipelineError(f"Warehouse: {doing} failed ({name}{place}, SQLSTATE {state})")
    if _TLS.search(str(error)):
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
        return Interrupted(
            f"Warehouse: {doing} failed: the database cannot be reached, or the connection was lost ({name}); "
            "check DRILLSTER_WAREHOUSE_URL and that the server is up, then run again"
        )
    number = next((argument for argument in getattr(error, "args", ()) if isinstance(argument, int)), None)
    return PipelineError(f"Warehouse: {doing} failed ({name}{'' if number is None else f' {number}'})")


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
