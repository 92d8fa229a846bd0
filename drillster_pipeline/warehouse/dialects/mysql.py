"""MySQL and MariaDB: text that differs by every character, InnoDB, sessions that last, and GET_LOCK.

Both compare text without regard to case by default, and their usual binary collations take ``a`` and ``a `` for the
same (PAD SPACE). Ids are opaque, so text here has a collation that is neither. DDL commits the transaction that it is
in: a merge runs none, and preparing is made of steps that may be repeated. A Galera cluster has the lock on one node:
all writers must use the same.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Mapping
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

from drillster_pipeline.errors import Busy, Interrupted, PipelineError, Refused, SettingsError, Unavailable
from drillster_pipeline.tables.schema import Kind

from . import NOT_ENCRYPTED, TLS_REFUSED, UNREACHABLE, Dialect, ErrorReport, SessionLock, ViewComments

NAMES = ("mysql", "mariadb")
OLDEST_MYSQL, OLDEST_MARIADB = (8, 0, 17), (10, 5)
"""The first MySQL with ``utf8mb4_0900_bin``, and the oldest MariaDB that was still maintained in 2025."""
DDL_WAIT_SECONDS = 15
"""How long DDL waits for queries in its way; while it waits, all later queries on that table wait behind it."""
LOCK_WAIT_SECONDS = 600
"""How long a merge waits for locked rows or a locked table."""
IDLE_SECONDS = 28_800
"""How long a load may be silent before the server ends its session (the server's own default; hosts lower it)."""

_CONNECT_ARGUMENTS = {
    "connect_timeout": 15,
    "charset": "utf8mb4",
    # A value that does not fit is an error, never cut or made zero.
    "sql_mode": "TRADITIONAL",
    "init_command": "SET time_zone = '+00:00'",
}

_CONNECTION_LOST = {1053, 1079, 1152, 1159, 1161, 1184, 1927, 2006, 2013, 2055, 4031}
_ERRORS: tuple[tuple[set[int], type[PipelineError], str], ...] = (
    ({1205, 1213, 3058, 3572}, Busy, "another session was in the way; run again when it is done"),
    ({1317, 1969, 3024}, Unavailable, "the statement was cancelled by an administrator or a timeout; run again"),
    ({1040, 1203, 1226}, Unavailable, "the server takes no more connections; run again later, or raise its limit"),
    ({3, 1021, 1030, 1037, 1041, 1114}, Unavailable, "the server has no room left (disk or memory); make some"),
    (_CONNECTION_LOST, Interrupted, "the connection was lost; run again when the server can be reached"),
    ({1153, 2020}, SettingsError, "a row is larger than the server takes; raise its max_allowed_packet to 64 MB"),
    ({1045, 1698, 2059}, SettingsError, "the server does not accept the user or its password"),
    ({1049}, SettingsError, "there is no such database; check DRILLSTER_WAREHOUSE_URL"),
    ({1044, 1142, 1143, 1227, 1370}, SettingsError, "the user may not do that; it needs GRANT ALL ON database.* TO …"),
    ({1036, 1290, 1792, 1836}, SettingsError, "the server or the table may only be read; name one that takes writes"),
    ({1146}, Refused, "a table is missing; the next load makes it, and a backfill fills it"),
    ({1054}, Refused, "a column is missing; the next load makes it, and a backfill fills it"),
)
"""Numbers that MySQL and MariaDB give to errors, and those of their client library (from 2000)."""
_SUBJECT = re.compile(
    r"(?:column|key|Column|Field) [`']([^`']+)[`']"
    r"(?: at row \d+| cannot be null| in '[^']+'| doesn't have a default value)?[\"')]*$"
)
"""The column or key at the end of a server's message; the rest may quote what could not be written."""


class ExactText(sa.Unicode):
    """A text of bounded length that may be part of a key."""


class ExactLongText(sa.UnicodeText):
    """A text of any length."""


def _is_mariadb(dialect: sa.Dialect) -> bool:
    # Set when connected: the server may be another than that of the URL.
    return bool(getattr(dialect, "is_mariadb", False))


def _exact(dialect: sa.Dialect) -> str:
    return f"CHARACTER SET utf8mb4 COLLATE {'utf8mb4_nopad_bin' if _is_mariadb(dialect) else 'utf8mb4_0900_bin'}"


@compiles(ExactText, *NAMES)
def _text(kind: ExactText, compiler: Any, **_options: Any) -> str:
    return f"VARCHAR({kind.length}) {_exact(compiler.dialect)}"


@compiles(ExactLongText, *NAMES)
def _long_text(kind: ExactLongText, compiler: Any, **_options: Any) -> str:
    return f"LONGTEXT {_exact(compiler.dialect)}"


class MySQL(Dialect):
    """A database of a MySQL or MariaDB server."""

    names = NAMES
    driver_modules = ("pymysql", "mysqldb")
    is_tested = True
    drivers: ClassVar[Mapping[str, str]] = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
    extra = "mysql"
    has_staging_keys = True
    updates_from = True
    compares_tuples = True
    expressions: ClassVar[Mapping[str, str]] = {
        "utc_midnight": "CAST({} AS DATETIME(6))",
        "hours_later": "({} + INTERVAL {} HOUR)",
        "days_begun": "((TIMESTAMPDIFF(MICROSECOND, {1}, {0}) + 86399999999) DIV 86400000000)",
        "days_after": "datediff({}, {})",
        "seconds_since": "TIMESTAMPDIFF(SECOND, {}, UTC_TIMESTAMP(6))",
        "as_double": "CAST({} AS DOUBLE)",
        "iso_week": "insert(yearweek({}, 3), 5, 0, '-W')",
        "month": "left({}, 7)",
        "quarter": "concat(year({0}), '-Q', quarter({0}))",
        "month_begins_on": "({0} - INTERVAL (dayofmonth({0}) - 1) DAY)",
        "sorted_text": "group_concat({0} ORDER BY {0} SEPARATOR ', ')",
    }

    def check_url(self, url: URL, schema: str | None) -> None:
        """Require a database."""
        if not (url.database or schema):
            raise SettingsError(
                "DRILLSTER_WAREHOUSE_URL names no database. Add one (mysql://user:password@host/database), or name "
                "one in DRILLSTER_WAREHOUSE_SCHEMA"
            )

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Of PyMySQL and mysqlclient; SERIALIZABLE would have readers wait for a merge."""
        options = super().engine_options(url)
        if url.drivername.partition("+")[2] not in self.driver_modules:
            return options
        return {**options, "connect_args": _CONNECT_ARGUMENTS, "isolation_level": "REPEATABLE READ"}

    def describe(self, connection: sa.Connection) -> tuple[str, str | None]:
        """With the version of TLS."""
        _, version = super().describe(connection)[0].split(" ", 1)
        product = f"{'MariaDB' if _is_mariadb(connection.dialect) else 'MySQL'} {version}"
        if "unix_socket" in connection.engine.url.query:
            return product, None
        row = connection.execute(sa.text("SHOW SESSION STATUS LIKE 'Ssl_version'")).first()
        return product, f"encrypted ({row[1]})" if row is not None and row[1] else NOT_ENCRYPTED

    def text_type(self, *, in_key: bool) -> TypeEngine[Any]:
        """With a collation in which case, accents and trailing spaces differ."""
        return ExactText(self.key_length) if in_key else ExactLongText()

    def timestamp_type(self) -> TypeEngine[Any]:
        """With microseconds, which are not the default."""
        return mysql.DATETIME(fsp=6)

    def table_options(self, kind: Kind | None) -> dict[str, Any]:
        """Transactions, keys of up to 3,072 bytes, and emoji, whatever the server's defaults are."""
        options = {"engine": "InnoDB", "row_format": "DYNAMIC", "default_charset": "utf8mb4"}
        return {f"{name}_{option}": value for name in NAMES for option, value in options.items()}

    def can_store(self, found: TypeEngine[Any], expected: TypeEngine[Any]) -> bool:
        """BOOLEAN is a word for TINYINT(1)."""
        if isinstance(expected, sa.Boolean):
            return isinstance(found, sa.Integer | sa.Boolean)
        return super().can_store(found, expected)

    def prepare_schema(self, connection: sa.Connection, schema: str | None) -> None:
        """Check the version of the server, and make the database where that is allowed."""
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {DDL_WAIT_SECONDS}")
        is_mariadb = _is_mariadb(connection.dialect)
        version = connection.dialect.server_version_info or ()
        if version < (OLDEST_MARIADB if is_mariadb else OLDEST_MYSQL):
            raise SettingsError(
                f"The server of DRILLSTER_WAREHOUSE_URL is {'MariaDB' if is_mariadb else 'MySQL'} "
                f"{'.'.join(map(str, version))}, which is too old. It takes MySQL {'.'.join(map(str, OLDEST_MYSQL))} "
                f"or MariaDB {'.'.join(map(str, OLDEST_MARIADB))}, or newer"
            )
        if schema is None or sa.inspect(connection).has_schema(schema):
            return
        name = connection.dialect.identifier_preparer.quote(schema)
        try:
            connection.exec_driver_sql(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4")
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                raise
            raise SettingsError(
                f"There is no database {schema} that the user of DRILLSTER_WAREHOUSE_URL may use, and it may not make "
                f"one. Have an administrator run: CREATE DATABASE {schema} CHARACTER SET utf8mb4; GRANT ALL ON "
                f"{schema}.* TO …"
            ) from None

    def replace_view(self, connection: sa.Connection, name: str, statement: str, comments: ViewComments) -> None:
        """In one statement; views have no comments."""
        connection.exec_driver_sql(statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))

    def lift_limits(self, connection: sa.Connection) -> None:
        """Of this session."""
        waits = ("net_read_timeout", "net_write_timeout", "lock_wait_timeout", "innodb_lock_wait_timeout")
        limits = {"wait_timeout": IDLE_SECONDS, **dict.fromkeys(waits, LOCK_WAIT_SECONDS)}
        unlimited = (
            ("max_statement_time", "idle_transaction_timeout", "idle_write_transaction_timeout")
            if _is_mariadb(connection.dialect)
            else ("max_execution_time",)
        )
        limits |= dict.fromkeys(unlimited, 0)
        connection.exec_driver_sql("SET SESSION " + ", ".join(f"{name} = {value}" for name, value in limits.items()))

    def writer_lock(self, connection: sa.Connection, schema: str | None) -> SessionLock:
        """GET_LOCK by database."""
        if schema is None:
            with connection.begin():
                schema = str(connection.scalar(sa.text("SELECT database()")))
        name = "drillster-" + hashlib.sha256(schema.encode()).hexdigest()[:32]
        holder = sa.text(
            "SELECT coalesce((SELECT concat('connection ', id, ' of role ', user, ' from ', host)"
            " FROM information_schema.processlist WHERE id = CAST(IS_USED_LOCK(:name) AS UNSIGNED)), 'another session')"
            " FROM DUAL WHERE IS_USED_LOCK(:name) IS NOT NULL"
        ).bindparams(name=name)
        return SessionLock(
            connection,
            f" (database {schema})",
            take=sa.select(sa.func.get_lock(name, 0)),
            release=sa.select(sa.func.release_lock(name)),
            holder=holder,
        )

    def report_error(self, error: BaseException, *, lost: bool) -> ErrorReport:
        """By its number."""
        number = next((argument for argument in error.args if isinstance(argument, int)), None)
        if number is None:
            return super().report_error(error, lost=lost)
        subject = _SUBJECT.search(str(error))
        detail = f"{type(error).__name__} {number}{f', {subject[1]}' if subject else ''}"
        if isinstance(getattr(error, "original_exception", None), ssl.SSLCertVerificationError):
            return ErrorReport(SettingsError, TLS_REFUSED.format("ssl_ca and the like"), detail)
        for numbers, kind, advice in _ERRORS:
            if number in numbers:
                return ErrorReport(kind, advice, detail)
        is_from_server = 1000 <= number < 2000 or number >= 3000
        if lost or not is_from_server:
            return ErrorReport(Interrupted, UNREACHABLE, detail)
        return ErrorReport(PipelineError, "", detail)
