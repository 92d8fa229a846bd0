"""PostgreSQL: schemas that others own, views that others depend on, binary COPY, and an advisory lock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.types import TypeEngine

from drillster_pipeline.errors import Busy, Interrupted, PipelineError, Refused, SettingsError, Unavailable
from drillster_pipeline.tables.schema import Column, Kind, Type
from drillster_pipeline.warehouse import partitions
from drillster_pipeline.warehouse.postgresql_views import drop_view, literal, rights_on

from . import (
    NOT_ENCRYPTED,
    TLS_REFUSED,
    UNREACHABLE,
    Dialect,
    ErrorReport,
    SessionLock,
    ViewComments,
    check_name,
    check_statements,
    plain,
    python_values,
    utc_moments,
)

CONNECT_SECONDS = 15
"""How long the server may take to answer, so that a wrong host is an error after seconds."""
KEEPALIVES = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
"""Seconds of silence, seconds between probes, and how many: after two minutes the other side counts as gone."""
DDL_WAIT = "15s"
"""How long DDL waits for queries in its way; while it waits, all later queries on that table wait behind it."""
LOCK_WAIT = "10min"
"""How long a merge waits for a table that was locked by hand, or is being changed."""
_SMALL_TABLE = 1_000
_STATISTICS_TARGET = 10
"""ANALYZE reads 300 times as many rows: how many values a key has shows in 3,000 as well as in 30,000."""

_ERRORS: tuple[tuple[str, type[PipelineError], str], ...] = (
    ("57014", Unavailable, "the statement was cancelled by an administrator or a timeout; run again"),
    ("57", Interrupted, "the server went down or ended the session; run again when it is up"),
    ("08", Interrupted, "the connection was lost; run again when the server can be reached"),
    ("53100", Unavailable, "the disk of the database server, or of its temporary tables, is full; make room there"),
    ("53300", Interrupted, "the server has no connection left; end some, or run again later"),
    ("53", Unavailable, "the server is at a limit of its memory or configuration; raise it and run again"),
    ("55P03", Busy, "a query holds a lock on a table that must be changed; run again when it is done"),
    ("40", Interrupted, "another session was in the way; run again"),
    ("25006", SettingsError, "the database may only be read, as a standby may; name the one that takes writes"),
    ("2BP01", Refused, "views or tables of others are built on what is to be removed; drop those, and run again"),
    ("28", SettingsError, "the server does not accept the role or its password; check DRILLSTER_WAREHOUSE_URL"),
    ("3D000", SettingsError, "there is no such database; check DRILLSTER_WAREHOUSE_URL"),
    ("3F000", SettingsError, "there is no such schema; check DRILLSTER_WAREHOUSE_SCHEMA"),
    ("42501", SettingsError, "the role may not do that; it must own the schema and its tables"),
    ("42P01", Refused, "a table is missing; the next load makes it, and a backfill fills it"),
    ("42703", Refused, "a column is missing; the next load makes it, and a backfill fills it"),
)
"""Beginnings of SQLSTATE."""
_BAD_SETTING = re.compile(
    r"(connection is bad: )?(invalid (\w+ value|port number|connection option)|bad value for \w+)"
)
"""How psycopg and libpq begin before they connect to anything."""
_TLS = re.compile(r"does not support SSL|certificate|SSL error: (?!unexpected eof)", re.IGNORECASE)
"""What libpq says (it has no codes) where TLS is refused, and not where a connection breaks under it."""
_TRANSIENT = ("starting up", "shutting down", "recovery", "not accepting", "too many", "slots", "terminating")
"""Words of refused connections that another attempt may not get."""

_WIRE = {
    Type.TEXT: "text",
    Type.JSON: "text",
    Type.INTEGER: "int8",
    Type.SMALLINT: "int2",
    Type.FLOAT: "float8",
    Type.BOOLEAN: "bool",
    Type.TIMESTAMP: "int8",
    Type.DATE: "int4",
}
"""Types of fields in binary COPY: moments travel as microseconds, dates as days, both since 2000."""
_EPOCH_DAY, _EPOCH = date(2000, 1, 1).toordinal(), np.datetime64("2000-01-01", "us")


class PostgreSQL(Dialect):
    """A schema of a PostgreSQL server."""

    names = ("postgresql",)
    driver_modules = ("psycopg",)
    is_tested = True
    drivers = dict.fromkeys(("postgres", "postgresql", "postgres+psycopg"), "postgresql+psycopg")
    extra = "postgres"
    key_length = None
    has_temporary_tables = True
    updates_from = True
    compares_tuples = True
    renews_comments = True
    expressions: ClassVar[Mapping[str, str]] = {
        **Dialect.expressions,
        "utc_midnight": "(CAST({} AS TIMESTAMP) AT TIME ZONE 'UTC')",
        "seconds_since": "CAST(extract(epoch FROM (now() - {})) AS BIGINT)",
    }

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Of psycopg; settings of a role or a database do not apply to a load."""
        if not url.drivername.endswith("+psycopg"):
            return super().engine_options(url)
        arguments = {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "drillster-pipeline",
            # A role, a database or PGCLIENTENCODING may set another, in which names would be damaged.
            "client_encoding": "utf8",
            **KEEPALIVES,
        }
        return {**super().engine_options(url), "connect_args": arguments}

    def configure(self, engine: sa.Engine) -> None:
        """Put each new session in UTC."""
        if engine.dialect.driver == "psycopg":
            sa.event.listen(engine, "connect", _on_connect)

    def describe(self, connection: sa.Connection) -> tuple[str, str | None]:
        """Encryption is as this side of the connection has it: a pooler in between may have another one."""
        version = str(connection.scalar(sa.text("SHOW server_version"))).split(" ", 1)[0]
        session = getattr(_driver(connection), "pgconn", None)
        if session is None:
            return f"PostgreSQL {version}", "perhaps not encrypted: the driver does not say"
        if session.host.startswith(b"/"):  # a socket in the file system
            return f"PostgreSQL {version}", None
        return f"PostgreSQL {version}", "encrypted (TLS)" if session.ssl_in_use else NOT_ENCRYPTED

    def text_type(self, *, in_key: bool) -> TypeEngine[Any]:
        """Text of any length; keys compare by their bytes."""
        return sa.Text(collation="C" if in_key else None)

    def timestamp_type(self) -> TypeEngine[Any]:
        """``timestamptz``."""
        return sa.DateTime(timezone=True)

    def to_driver(self, moment: datetime) -> Any:
        """Aware."""
        return moment

    def table_options(self, kind: Kind | None) -> dict[str, Any]:
        """Every row of an entity that is still there gets a new ``last_seen_on`` by each run.

        Where its page has room for the new version, no index is touched: a tenth of the log, and the size that such a
        table grows to anyway.
        """
        if kind is Kind.ENTITY:
            return {"postgresql_with": {"fillfactor": 50}}
        return {"postgresql_partition_by": "RANGE (export_date)"} if kind is Kind.SNAPSHOT else {}

    def prepare_schema(self, connection: sa.Connection, schema: str | None) -> None:
        """Check encoding and rights, and make the schema where that is allowed.

        ``CREATE SCHEMA IF NOT EXISTS`` needs the right to make schemas even where there is nothing to make.
        """
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DDL_WAIT}'")
        if connection.scalar(sa.text("SHOW server_encoding")) != "UTF8":
            raise SettingsError(
                "The database of DRILLSTER_WAREHOUSE_URL does not store text as UTF-8, so names would be damaged. "
                "Make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        if not connection.scalar(sa.text("SELECT has_database_privilege(current_database(), 'TEMPORARY')")):
            raise SettingsError(
                "The role of DRILLSTER_WAREHOUSE_URL may not make temporary tables, which loads are staged in. "
                "Have an administrator run: GRANT TEMPORARY ON DATABASE … TO …"
            )
        name = schema_of(connection, schema)
        if connection.scalar(sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": name}) is None:
            if not connection.scalar(sa.text("SELECT has_database_privilege(current_database(), 'CREATE')")):
                raise SettingsError(
                    f"There is no schema {name}, and the role of DRILLSTER_WAREHOUSE_URL may not make one. Have an "
                    f"administrator run: CREATE SCHEMA {name} AUTHORIZATION …"
                )
            connection.execute(sa.schema.CreateSchema(name))
        elif not connection.scalar(sa.text("SELECT has_schema_privilege(:name, 'CREATE')"), {"name": name}):
            query = sa.text(
                "SELECT pg_get_userbyid(nspowner) FROM pg_namespace n WHERE nspname = :name"
                " AND EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p'))"
            )
            # A schema with tables may be another loader's: it must not be taken from that.
            owner = connection.scalar(query, {"name": name})
            advice = (
                f"Have an administrator run: ALTER SCHEMA {name} OWNER TO …"
                if owner is None
                else f"It has tables already, and belongs to {owner}: let the URL name that role"
            )
            raise SettingsError(
                f"The role of DRILLSTER_WAREHOUSE_URL may not make tables in the schema {name}. {advice}; or name "
                "another in DRILLSTER_WAREHOUSE_SCHEMA"
            )

    def replace_view(self, connection: sa.Connection, name: str, statement: str, comments: ViewComments) -> None:
        """Keep what others built on it and the rights they were given.

        Raises Refused where its columns changed and another view depends on it.
        """
        # What an administrator set of it, such as ``security_invoker=true``: a new one has none of it.
        query = sa.text("SELECT unnest(reloptions) FROM pg_class WHERE oid = to_regclass(:name)")
        options = list(connection.scalars(query, {"name": plain(name)}))
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
        except sa.exc.ProgrammingError as error:
            # Columns that were renamed, removed or moved: only a new view can have them.
            if getattr(error.orig, "sqlstate", None) != "42P16":
                raise
            rights = rights_on(connection, name, comments.columns)
            drop_view(connection, name)
            for each in (statement, *rights):
                connection.exec_driver_sql(each)
        quote = connection.dialect.identifier_preparer.quote
        for option in options:
            connection.exec_driver_sql(f"ALTER VIEW {name} SET ({option})")
        connection.exec_driver_sql(f"COMMENT ON VIEW {name} IS {literal(connection, comments.view)}")
        for column, text in comments.columns.items():
            connection.exec_driver_sql(f"COMMENT ON COLUMN {name}.{quote(column)} IS {literal(connection, text)}")

    def try_rights(
        self, engine: sa.Engine, schema: str | None, names: Sequence[str], file: Path | None
    ) -> tuple[str, ...]:
        """In a transaction that is rolled back, and a second one."""
        with engine.connect() as connection:
            with connection.begin() as transaction:
                session = self.session_id(connection)
                self.prepare_schema(connection, schema)
                for statement in check_statements(check_name(connection, schema)):
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql("CREATE TEMPORARY TABLE drillster_check_staged (n INTEGER)")
                _check_owner(connection, schema, names)
                transaction.rollback()
            with connection.begin():
                self.check_session(connection, session)
        return ("a table", "a view", "a temporary table", "one session over two transactions")

    def lift_limits(self, connection: sa.Connection) -> None:
        """And let the server notice a client that is gone without closing: its lock would stay for hours."""
        limits = ("statement", "idle_session", "idle_in_transaction_session", "transaction")
        settings = {f"{name}_timeout": "0" for name in limits} | {
            f"tcp_{name}": KEEPALIVES[name] for name in KEEPALIVES
        }
        query = sa.text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name")
        for name, value in {**settings, "lock_timeout": LOCK_WAIT}.items():
            connection.execute(query, {"name": name, "value": value})

    def session_id(self, connection: sa.Connection) -> int | None:
        """The process of the server."""
        return int(connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)

    def writer_lock(self, connection: sa.Connection, schema: str | None) -> SessionLock:
        """An advisory lock by schema."""
        with connection.begin():
            schema = schema_of(connection, schema)
        digest = hashlib.sha256(f"drillster-pipeline:{schema}".encode()).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        holder = sa.text(
            "SELECT CASE WHEN a.pid IS NULL THEN 'another session' ELSE"
            " format('server process %s of role %s from %s%s', a.pid, a.usename,"
            " coalesce(host(a.client_addr), 'this host'),"
            " to_char(a.backend_start AT TIME ZONE 'UTC', '\", connected since \"YYYY-MM-DD HH24\\:MI\\:SS\" UTC\"'))"
            " END"
            " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND l.classid::bigint = :high AND l.objid::bigint = :low"
        ).bindparams(high=(number >> 32) & 0xFFFFFFFF, low=number & 0xFFFFFFFF)
        return SessionLock(
            connection,
            f" (schema {schema})",
            take=sa.select(sa.func.pg_try_advisory_lock(number)),
            release=sa.select(sa.func.pg_advisory_unlock(number)),
            holder=holder,
        )

    def read_one_state(self, connection: sa.Connection) -> None:
        """The default isolation level takes another state for each query."""
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def write(
        self,
        connection: sa.Connection,
        target: sa.Table,
        columns: Sequence[Column],
        frame: pd.DataFrame,
        first_row: int,
    ) -> None:
        """By COPY in binary format; the columns of ``target`` have exactly the types of the contract."""
        lists = [_wire_values(column, frame[column.name]) for column in columns]
        names = ", ".join(f'"{name}"' for name in ("staged_row", *(column.name for column in columns)))
        with (
            _driver(connection).cursor() as cursor,
            cursor.copy(f'COPY pg_temp."{target.name}" ({names}) FROM STDIN (FORMAT BINARY)') as copy,
        ):
            copy.set_types(["int8", *(_WIRE[column.type] for column in columns)])
            for row in zip(range(first_row, first_row + len(frame)), *lists, strict=True):
                copy.write_row(row)

    def index_staged(
        self, connection: sa.Connection, target: sa.Table, key: Sequence[str], joined: Sequence[str], count: int
    ) -> bool:
        """Statistics, by which it joins by hashing; the server gathers none for a temporary table.

        It guesses well enough by the size of a small one.
        """
        if count >= _SMALL_TABLE:
            preparer = connection.dialect.identifier_preparer
            names = ", ".join(map(preparer.quote, joined))
            connection.exec_driver_sql(f"SET LOCAL default_statistics_target = {_STATISTICS_TARGET}")
            connection.exec_driver_sql(f"ANALYZE {preparer.format_table(target)} ({names})")
        return False

    ensure_partition = staticmethod(partitions.ensure_partition)
    wait_for_planning = staticmethod(partitions.wait_for_planning)
    gather_statistics = staticmethod(partitions.gather_statistics)
    drop_partitions = staticmethod(partitions.drop_partitions)

    def report_error(self, error: BaseException, *, lost: bool) -> ErrorReport:
        """By SQLSTATE; errors of connecting have none, and are recognized by words."""
        name, text = type(error).__name__, str(error)
        if state := getattr(error, "sqlstate", None):
            detail = f"{name}{_subject(error)}, SQLSTATE {state}"
            found = ((kind, advice) for prefix, kind, advice in _ERRORS if state.startswith(prefix))
            return ErrorReport(*next(found, (PipelineError, "")), detail)
        if setting := _BAD_SETTING.match(text):
            return ErrorReport(
                SettingsError, "the driver does not take a setting in DRILLSTER_WAREHOUSE_URL", str(setting[2])
            )
        if _TLS.search(text) and not lost:
            return ErrorReport(SettingsError, TLS_REFUSED.format("sslmode and sslrootcert"), name)
        if "FATAL: " in text and not any(words in text for words in _TRANSIENT):
            return ErrorReport(
                SettingsError,
                "the server answers, and does not let us in; check the role, the password and the name of the "
                "database in DRILLSTER_WAREHOUSE_URL",
                name,
            )
        if name == "ConnectionTimeout":
            return ErrorReport(Interrupted, UNREACHABLE, name)
        return super().report_error(error, lost=lost)


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


def _on_connect(connection: Any, _record: object) -> None:
    # Driver and SQLAlchemy read what the server writes, and parse it in this form alone. In UTC no moment of the
    # contract is in the year 10000, or before the year 1, which Python does not have.
    connection.autocommit = True
    connection.execute("SET datestyle = 'ISO'; SET timezone = 'UTC'; SET quote_all_identifiers = off")
    connection.autocommit = False


def _wire_values(column: Column, series: pd.Series[Any]) -> list[Any]:
    if column.type is Type.TIMESTAMP:
        moments = utc_moments(series)
        numbers = (moments - _EPOCH).astype(np.int64).astype(object)
        numbers[np.isnat(moments)] = None
        return list(numbers)
    values = python_values(column, series)
    if column.type is Type.DATE:
        return [None if day is None else day.toordinal() - _EPOCH_DAY for day in values]
    return values


def schema_of(connection: sa.Connection, schema: str | None) -> str:
    """The schema of a warehouse: the one that is named, else that of the search path. Raises SettingsError."""
    name = schema or connection.scalar(sa.select(sa.func.current_schema()))
    if name is None:
        raise SettingsError(
            "The role of DRILLSTER_WAREHOUSE_URL has no schema of its own in its search_path. Name one in "
            "DRILLSTER_WAREHOUSE_SCHEMA"
        )
    return str(name)


def _check_owner(connection: sa.Connection, schema: str | None, names: Sequence[str]) -> None:
    """Raise SettingsError where tables of the warehouse belong to another role: they could not be changed or filled."""
    query = sa.text(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = coalesce(:schema, current_schema()) AND c.relname = ANY(:names)"
        " AND NOT pg_has_role(c.relowner, 'USAGE')"
    )
    foreign = connection.scalar(query, {"schema": schema, "names": [*names]})
    if foreign:
        raise SettingsError(
            f"{foreign} of the warehouse's tables and views belong to a role that the one in DRILLSTER_WAREHOUSE_URL "
            "is no member of, so loads can't write to them. Have an administrator run, for each: ALTER TABLE … OWNER "
            "TO …; or use the role that owns them"
        )


def _subject(error: BaseException) -> str:
    """Table, column and constraint that an error is about; its text may quote a row."""
    diagnosis = getattr(error, "diag", None)
    names = ((word, getattr(diagnosis, f"{word}_name", None)) for word in ("table", "column", "constraint"))
    return "".join(f", {word} {value}" for word, value in names if value)
