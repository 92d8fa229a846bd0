"""What each kind of database does its own way: one file per dialect, and the generic path for all others.

A dialect is a subclass of :class:`Dialect` in a module of this package; ``names`` says which SQLAlchemy dialects it is
for. Everything else in the package calls :func:`dialect_of`.
"""

from __future__ import annotations

import importlib
import pkgutil
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import cache
from math import isnan
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.types import TypeEngine

from drillster_pipeline.errors import Interrupted, PipelineError, SettingsError
from drillster_pipeline.tables.schema import Column, Kind, Type

BEGIN_OPTION = "sqlite_begin"
"""Execution option of a connection: how its next transactions begin on SQLite. A writer sets IMMEDIATE."""
KEY_LENGTH = 255
"""Characters of a text in a key or an index, where a database bounds them; Drillster's ids have 22 to 43.

Three such columns and a date are 3,063 bytes of utf8mb4: the most that InnoDB takes in one key is 3,072.
"""
INSERT_ROWS = 1_000
"""Rows per INSERT statement of the generic path."""
NOT_ENCRYPTED = "not encrypted"
UNREACHABLE = (
    "the database cannot be reached, or the connection was lost; check DRILLSTER_WAREHOUSE_URL (in a password, "
    "/ and @ are written %2F and %40) and that the server is up, then run again"
)


TLS_REFUSED = (
    "TLS with the server did not come about as the URL asks: it has none, or its certificate is not trusted or for "
    "another host; check {} in DRILLSTER_WAREHOUSE_URL"
)


class ErrorReport(NamedTuple):
    """An error of a driver for an operator: its kind, what to do, and codes and names that identify it."""

    kind: type[PipelineError]
    advice: str
    detail: str


class WriterLock:
    """The one lock that the writers of a warehouse share. This one locks nothing: loads must not overlap."""

    where = ""
    """What is locked, for messages; may be empty."""
    ends_with = ""
    """Whose end releases it: a killed process cannot leave it behind."""

    def acquire(self, purpose: str) -> bool:
        """Take the lock if it is free."""
        return True

    def holder(self) -> str | None:
        """Who holds it; None where nobody does."""
        return None

    def release(self) -> None:
        """Release it, where it was taken."""


class SessionLock(WriterLock):
    """A lock of the server that ends with the session. ``holder``: a query for one text, without rows if it is free."""

    ends_with = "the lock goes with its connection"

    def __init__(
        self,
        connection: sa.Connection,
        where: str,
        *,
        take: sa.Executable,
        release: sa.Executable,
        holder: sa.Executable,
    ) -> None:
        self.where = where
        self._connection = connection
        self._take, self._release, self._holder = take, release, holder
        self._is_held = False

    def acquire(self, purpose: str) -> bool:
        """Take the lock if it is free."""
        with self._connection.begin():
            self._is_held = bool(self._connection.execute(self._take).scalar())
        return self._is_held

    def holder(self) -> str | None:
        """The session that holds it; None where nobody does."""
        with self._connection.begin():
            return self._connection.execute(self._holder).scalar()

    def release(self) -> None:
        """Release it, where it was taken."""
        if not self._is_held:
            return
        try:
            if self._connection.in_transaction():
                self._connection.rollback()
            with self._connection.begin():
                self._connection.execute(self._release)
        except sa.exc.SQLAlchemyError:
            # The connection is gone, and the lock with it.
            self._connection.invalidate()


_REGISTERED: dict[str, Dialect] = {}


class Dialect:
    """One kind of database. This class is the generic path: plain SQL, ordinary staging tables, no writer lock."""

    names: ClassVar[tuple[str, ...]] = ()
    """SQLAlchemy's names of it."""
    is_tested: ClassVar[bool] = False
    """Whether tests load a real database of it."""
    drivers: ClassVar[Mapping[str, str]] = {}
    """The driver that a URL without one picks, by the scheme of the URL."""
    driver_modules: ClassVar[tuple[str, ...]] = ()
    """The modules that errors of its drivers are from, in lower case."""
    extra: ClassVar[str | None] = None
    """The extra of this package that installs the default driver."""
    place_setting: ClassVar[str] = "DRILLSTER_WAREHOUSE_SCHEMA"
    """The setting that names another place for the tables."""
    key_length: ClassVar[int | None] = KEY_LENGTH
    """Characters that a text in a key may have; None: any number."""
    has_temporary_tables: ClassVar[bool] = False
    """Whether staging tables are temporary. MySQL cannot name a temporary table twice in a statement."""
    row_number_type: ClassVar[TypeEngine[int]] = sa.BigInteger()
    has_staging_keys: ClassVar[bool] = False
    """Whether staging tables get a primary key: servers may refuse a table without one, or it costs nothing."""
    updates_from: ClassVar[bool] = False
    """Whether a table can be updated from the rows of another in one statement."""
    compares_tuples: ClassVar[bool] = False
    """Whether ``(a, b) IN (SELECT …)`` works."""
    references_snapshots: ClassVar[bool] = False
    """Whether snapshot and history tables have foreign keys."""
    inlines_references: ClassVar[bool] = False
    """Whether a foreign key can be added only as part of its column."""
    renews_comments: ClassVar[bool] = False
    """Whether comments on tables that exist are compared and renewed."""
    expressions: ClassVar[Mapping[str, str]] = {
        "utc_midnight": "CAST({} AS TIMESTAMP)",
        "hours_later": "({} + {} * INTERVAL '1' HOUR)",
        "days_begun": "CAST(ceil(extract(epoch FROM ({} - {})) / 86400) AS INTEGER)",
        "days_after": "({} - {})",
        "seconds_since": "CAST(extract(epoch FROM (CURRENT_TIMESTAMP - {})) AS BIGINT)",
        "as_double": "CAST({} AS DOUBLE PRECISION)",
        "iso_week": "to_char({}, 'IYYY-\"W\"IW')",
        "month": "to_char({}, 'YYYY-MM')",
        "quarter": "to_char({}, 'YYYY-\"Q\"Q')",
        "month_begins_on": "CAST(date_trunc('month', {}) AS DATE)",
        "sorted_text": "string_agg({0}, ', ' ORDER BY {0})",
    }
    """The SQL of each function of :mod:`..expressions`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _REGISTERED.update(dict.fromkeys(cls.names, cls()))

    # URL and engine

    def check_url(self, url: URL, schema: str | None) -> None:
        """Raise SettingsError where URL and schema cannot be right."""

    def file_of(self, url: URL) -> Path | None:
        """The file that holds the warehouse; None for a server."""
        return None

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Options of ``sa.create_engine``, with ``connect_args``."""
        return {"pool_pre_ping": True}

    def configure(self, engine: sa.Engine) -> None:
        """Add what each new connection or transaction needs."""

    def describe(self, connection: sa.Connection) -> tuple[str, str | None]:
        """The product with its version, and how the connection is encrypted (None: there is nothing to encrypt)."""
        version = ".".join(map(str, connection.dialect.server_version_info or ())) or "of an unknown version"
        return f"{connection.dialect.name} {version}", None

    # Types and tables

    def text_type(self, *, in_key: bool) -> TypeEngine[Any]:
        """A text that differs by every character; ``in_key``: in a key or an index."""
        return sa.Unicode(self.key_length) if in_key else sa.UnicodeText()

    def timestamp_type(self) -> TypeEngine[Any]:
        """A moment with microseconds."""
        return sa.DateTime()

    def to_driver(self, moment: datetime) -> Any:
        """A moment in UTC as the driver takes it."""
        return moment.replace(tzinfo=None)

    def table_options(self, kind: Kind | None) -> dict[str, Any]:
        """Options of ``sa.Table`` for a kind of table; None: a staging table."""
        return {}

    def can_store(self, found: TypeEngine[Any], expected: TypeEngine[Any]) -> bool:
        """Whether a text or boolean column of type ``found`` stores every value of ``expected``, which has its kind."""
        length = getattr(found, "length", None)
        return length is None or length == getattr(expected, "length", None)

    # Schema

    def is_set_up(self, connection: sa.Connection) -> bool:
        """Whether the database itself is as a load needs it."""
        return True

    def set_up(self, connection: sa.Connection) -> None:
        """Make it so, outside a transaction. Raises SettingsError."""

    def prepare_schema(self, connection: sa.Connection, schema: str | None) -> None:
        """Limit how long DDL of this transaction waits, check the server, make the schema. Raises SettingsError."""

    def replace_view(self, connection: sa.Connection, name: str, statement: str, comments: ViewComments) -> None:
        """Make or replace a view. ``name`` is quoted; ``statement`` is CREATE VIEW."""
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
        connection.exec_driver_sql(statement)

    def try_rights(
        self, engine: sa.Engine, schema: str | None, names: Sequence[str], file: Path | None
    ) -> tuple[str, ...]:
        """Do what loads do and undo it; returns what was done, in words. Raises SettingsError.

        ``names``: the tables and views of the warehouse; ``file``: that it is in. DDL may commit, so what was made is
        dropped.
        """
        with engine.connect() as connection:
            if schema is not None and not sa.inspect(connection).has_schema(schema):
                return ()
            self.prepare_schema(connection, schema)
            name = check_name(connection, schema)
            try:
                for statement in check_statements(name):
                    connection.exec_driver_sql(statement)
            finally:
                for thing in (f"VIEW {name}_view", f"TABLE {name}"):
                    with suppress(sa.exc.SQLAlchemyError):  # what was not made
                        connection.exec_driver_sql(f"DROP {thing}")
        return ("a table", "a view")

    # Sessions

    def lift_limits(self, connection: sa.Connection) -> None:
        """Lift limits that are meant for interactive sessions: a load may be silent, or busy, for minutes."""

    def session_id(self, connection: sa.Connection) -> int | None:
        """The session of the server behind this connection, where a pooler might change it."""
        return None

    def check_session(self, connection: sa.Connection, session: int | None) -> None:
        """Raise SettingsError where a pooler gave the connection another session: without staging and the lock."""
        if self.session_id(connection) != session:
            raise SettingsError(
                "Between two transactions of a load the server of DRILLSTER_WAREHOUSE_URL gave it another session, as "
                "a pooler such as PgBouncer does in transaction mode. A load needs one session from its first row to "
                "its last: name the server itself, or a pool in session mode"
            )

    def writer_lock(self, connection: sa.Connection, schema: str | None) -> WriterLock:
        """The lock of the warehouse's writers."""
        return WriterLock()

    def read_one_state(self, connection: sa.Connection) -> None:
        """Have all queries of the transaction read one state of the database, where that is an option."""

    # Staging

    def write(
        self,
        connection: sa.Connection,
        target: sa.Table,
        columns: Sequence[Column],
        frame: pd.DataFrame,
        first_row: int,
    ) -> None:
        """Append a frame to a staging table in the load's own transaction; rows are numbered from ``first_row``."""
        names = ("staged_row", *(column.name for column in columns))
        lists = [python_values(column, frame[column.name]) for column in columns]
        rows = list(zip(range(first_row, first_row + len(frame)), *lists, strict=True))
        for start in range(0, len(rows), INSERT_ROWS):
            some = rows[start : start + INSERT_ROWS]
            connection.execute(sa.insert(target), [dict(zip(names, row, strict=True)) for row in some])

    def index_staged(
        self, connection: sa.Connection, target: sa.Table, key: Sequence[str], joined: Sequence[str], count: int
    ) -> bool:
        """Make staged rows quick to find by key; whether this proved that no two have the same key."""
        connection.exec_driver_sql(f"CREATE INDEX {index_on(connection, target, key)}")
        return False

    def drop_staging(self, connection: sa.Connection, metadata: sa.MetaData, tables: Sequence[sa.Table]) -> None:
        """Remove the staging tables of a load."""
        metadata.drop_all(connection, tables=tables, checkfirst=False)

    # Partitions of snapshot tables

    def ensure_partition(self, connection: sa.Connection, table: sa.Table, day: date) -> bool:
        """Make sure that rows of a date have a partition; whether one was made."""
        return False

    def wait_for_planning(self, connection: sa.Connection, table: sa.Table, sleep: Callable[[float], None]) -> None:
        """Wait for queries that may have been planned without a partition that was just made, for a second at most."""

    def gather_statistics(self, connection: sa.Connection, table: sa.Table) -> None:
        """Gather statistics of a table with a new partition."""

    def drop_partitions(
        self, connection: sa.Connection, table: sa.Table, before: date, sleep: Callable[[float], None]
    ) -> int | None:
        """Drop partitions with older dates only; how many rows that were. None: the table has no partitions."""
        return None

    # Erasing

    def begin_erasing(self, connection: sa.Connection) -> None:
        """Have what is erased overwritten, where that is an option of the session."""

    def remove_traces(self, connection: sa.Connection) -> None:
        """Remove copies of erased rows from the database's own files. Raises Busy."""

    # Errors

    def report_error(self, error: BaseException, *, lost: bool) -> ErrorReport:
        """An error of the driver for an operator, from codes and names only: a driver's text may quote a row."""
        name = type(error).__name__
        if lost or name in {"OperationalError", "InterfaceError"}:
            return ErrorReport(Interrupted, UNREACHABLE, name)
        return ErrorReport(PipelineError, "", name)


class ViewComments(NamedTuple):
    """The descriptions of a view and its columns."""

    view: str
    columns: Mapping[str, str]


def dialect_of(bind: sa.Engine | sa.Connection | sa.Dialect) -> Dialect:
    """The dialect of a database."""
    return dialect_named((bind if isinstance(bind, sa.Dialect) else bind.dialect).name)


def dialect_named(name: str) -> Dialect:
    """The dialect with this SQLAlchemy name; the generic one where there is none of its own."""
    return _dialects().get(name, _GENERIC)


def all_dialects() -> Collection[Dialect]:
    """Every dialect that has a file."""
    return set(_dialects().values())


@cache
def _dialects() -> dict[str, Dialect]:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _REGISTERED


_GENERIC = Dialect()


def quoted(connection: sa.Connection, name: str, schema: str | None) -> str:
    """A table or view in statements."""
    return connection.dialect.identifier_preparer.format_table(sa.Table(name, sa.MetaData(schema=schema)))


def plain(sql: str) -> str:
    """A statement, or a name in it, as the server reads it: a driver that marks parameters by % has that doubled."""
    return sql.replace("%%", "%")


def index_on(connection: sa.Connection, target: sa.Table, columns: Sequence[str]) -> str:
    """What follows CREATE INDEX for an index of a staging table."""
    preparer = connection.dialect.identifier_preparer
    names = ", ".join(map(preparer.quote, columns))
    return f"{preparer.quote(f'ix_{target.name}')} ON {preparer.format_table(target)} ({names})"


def check_name(connection: sa.Connection, schema: str | None) -> str:
    """The quoted name of a table to try rights with."""
    return quoted(connection, f"drillster_check_{secrets.token_hex(4)}", schema)


def check_statements(name: str) -> tuple[str, ...]:
    """What a load does, on tables of its own."""
    return (
        f"CREATE TABLE {name} (n INTEGER NOT NULL PRIMARY KEY)",
        f"INSERT INTO {name} VALUES (1)",  # noqa: S608 (a name of our own)
        f"CREATE VIEW {name}_view AS SELECT n FROM {name}",  # noqa: S608 (as above)
    )


def python_values(column: Column, series: pd.Series[Any]) -> list[Any]:
    """A column as Python values: ``str``, numbers, ``bool``, aware ``datetime``, ``date``; missing as None."""
    if column.type is Type.TIMESTAMP:
        return [moment and moment.replace(tzinfo=UTC) for moment in utc_moments(series).tolist()]
    missing = series.isna().to_numpy()
    values = series.to_numpy(dtype=object)
    if missing.any():
        values = values.copy()
        values[missing] = None
    found = values.tolist()
    first = next((value for value in found if value is not None), None)
    if isinstance(first, np.generic):  # drivers know only Python's own numbers
        found = [None if value is None else value.item() for value in found]
    # pandas' Float64 can hold a NaN that it does not call missing.
    return [None if value is None or isnan(value) else value for value in found] if column.type is Type.FLOAT else found


def utc_moments(series: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """A column of moments as microseconds in UTC; missing as NaT."""
    naive = series.dt.tz_convert(None) if getattr(series.dt, "tz", None) is not None else series
    return naive.to_numpy().astype("datetime64[us]")
