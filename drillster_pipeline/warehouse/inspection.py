"""Looking at a warehouse without leaving anything behind: for who connects for the first time.

Nothing is prepared here: what a load would make is only compared. Rights are tried by doing what loads do, in a
transaction that is rolled back; where DDL can't be rolled back (MySQL, MariaDB), what was made is dropped again.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from drillster_pipeline.errors import SettingsError

from . import engine as engines
from . import ledger_queries as history
from .comparison import Difference, compare
from .dialects import mysql, postgresql
from .errors import database_errors
from .ledger import CONTRACT
from .ledger_queries import Loaded
from .lock import who_writes
from .model import build, lookup
from .schema_sync import view_statements
from .views import VIEWS

SQLITE_BUSY_SECONDS = 2
"""Nobody wants a look to wait for a load that writes to the file."""
MOST_LOADS = 30
NOT_ENCRYPTED = "not encrypted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What answers. ``encryption`` is None where there is nothing to encrypt (a file, a socket of this machine)."""

    product: str
    encryption: str | None
    seconds: float
    """How long connecting took."""
    is_new: bool
    """Of SQLite: whether the file is not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far the tables are those of this version of the program."""

    tables: int
    """Of the contract, that are there."""
    additions: tuple[str, ...]
    """What the next load adds to what is there, in words."""
    problems: tuple[str, ...]
    """What stands in the way of loading, each with its cure."""


class Inspection:
    """One warehouse, looked at. Raises SettingsError where URL, schema or driver will not do. Close it when done."""

    def __init__(self, url: str, *, schema: str | None = None) -> None:
        parsed = engines.parse_url(url, schema=schema)
        self.schema = schema
        self.file = engines.sqlite_file(parsed)
        self._trial: tempfile.TemporaryDirectory[str] | None = None
        if self.file is not None:
            if not self.file.exists():
                # Making an engine would make the folder, and connecting the file.
                parsed = parsed.set(database=str(self._scratch() / "trial.sqlite"))
            parsed = parsed.update_query_dict({"timeout": str(SQLITE_BUSY_SECONDS)})
        self.is_new = self.file is not None and not self.file.exists()
        self.engine = engines.create_engine(parsed)
        self.dialect = self.engine.dialect.name
        self._metadata = build(CONTRACT.values(), dialect=self.dialect, schema=schema)

    def _scratch(self) -> Path:
        """A folder that goes when we are closed, on the disk of the SQLite file."""
        if self._trial is None:
            assert self.file is not None
            folder = next(each for each in self.file.parents if each.exists())
            try:
                self._trial = tempfile.TemporaryDirectory(prefix=".drillster-check-", dir=folder)
            except OSError as error:
                raise SettingsError(
                    f"No file can be made in the folder of the warehouse, {folder} ({error.strerror}): check its owner "
                    "and mode, or name another file in DRILLSTER_WAREHOUSE_URL"
                ) from None
        return Path(self._trial.name)

    def close(self) -> None:
        """Close the connections, and remove what was made to try things out."""
        self.engine.dispose()
        if self._trial is not None:
            self._trial.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> Server:
        """Connect, and ask what the server is. Raises what :func:`.database_errors` raises."""
        started = time.monotonic()
        with database_errors("connecting"), self.engine.connect() as connection:
            seconds = time.monotonic() - started
            product, encryption = _described(connection)
            return Server(product=product, encryption=encryption, seconds=seconds, is_new=self.is_new)

    def try_rights(self) -> tuple[str, ...]:
        """Do what loads do, and undo it; gives what was done, in words. Raises SettingsError where it may not be."""
        if self.dialect == "sqlite":
            self._try_log()
            return ("a table", "a view", "a temporary table", "a write-ahead log")
        if self.dialect == "postgresql":
            with database_errors("trying what loads do"), self.engine.connect() as connection:
                self._try_postgresql(connection)
            return ("a table", "a view", "a temporary table", "one session over two transactions")
        with database_errors("trying what loads do"), self.engine.connect() as connection:
            if self.schema is not None and not sa.inspect(connection).has_schema(self.schema):
                return ()
            self._try_and_drop(connection)
        return ("a table", "a view")

    def _try_log(self) -> None:
        assert self.file is not None
        with database_errors("trying what loads do"):
            if not self.is_new:
                with _rolled_back(self.engine) as connection:
                    self._make_and_write(connection, "")
            trial = engines.create_engine(
                sa.URL.create("sqlite", database=str(self._scratch() / "log.sqlite")),
            )
            try:
                with trial.connect() as connection:
                    driver: Any = connection.connection.driver_connection
                    mode = driver.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                if mode != "wal":
                    raise SettingsError(
                        f"A file in {self.file.parent} cannot have a write-ahead log (its journal mode stays {mode}), "
                        "which readers need while a load is published. Put the warehouse on a local disk"
                    )
                with _rolled_back(trial) as connection:
                    self._make_and_write(connection, "")
            finally:
                trial.dispose()

    def _try_postgresql(self, connection: sa.Connection) -> None:
        with connection.begin() as transaction:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{postgresql.DDL_WAIT}'")
            process = postgresql.server_process(connection)
            postgresql.ready(connection, self.schema)
            self._make_and_write(connection, "" if self.schema is None else self._quoted(self.schema) + ".")
            _own_the_tables(connection, self.schema)
            transaction.rollback()
        with connection.begin():
            postgresql.see_that_it_is_the_same(connection, process)

    def _make_and_write(self, connection: sa.Connection, prefix: str) -> None:
        name = f"drillster_check_{secrets.token_hex(4)}"
        connection.exec_driver_sql(f"CREATE TABLE {prefix}{name} (n INTEGER)")
        connection.exec_driver_sql(f"INSERT INTO {prefix}{name} VALUES (1)")  # noqa: S608 - a name of our own
        connection.exec_driver_sql(f"CREATE VIEW {prefix}{name}_view AS SELECT n FROM {prefix}{name}")  # noqa: S608 - same
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name}_staged (n INTEGER)")

    def _try_and_drop(self, connection: sa.Connection) -> None:
        if self.dialect in mysql.DIALECTS:
            mysql.be_brief(connection)
            mysql.ready(connection, self.schema)
        prefix = "" if self.schema is None else self._quoted(self.schema) + "."
        name = f"{prefix}drillster_check_{secrets.token_hex(4)}"
        try:
            connection.exec_driver_sql(f"CREATE TABLE {name} (n INTEGER NOT NULL PRIMARY KEY)")
            connection.exec_driver_sql(f"INSERT INTO {name} VALUES (1)")  # noqa: S608 - a name of our own
            connection.exec_driver_sql(f"CREATE VIEW {name}_view AS SELECT n FROM {name}")  # noqa: S608 - as above
        finally:
            for thing in (f"VIEW {name}_view", f"TABLE {name}"):
                with suppress(sa.exc.SQLAlchemyError):  # what was not made
                    connection.exec_driver_sql(f"DROP {thing}")

    def _quoted(self, name: str) -> str:
        return self.engine.dialect.identifier_preparer.quote(name)

    def state(self) -> State:
        """Compare what is there with what this version of the program wants."""
        with database_errors("looking at the tables"), self.engine.connect() as connection:
            views = view_statements(self._metadata, connection.dialect)
            difference = compare(connection, self._metadata, views)
        tables = len(CONTRACT) - len(difference.tables)
        return State(
            tables=tables,
            additions=tuple(_additions(difference)) if tables else (),
            problems=tuple(difference.problems),
        )

    def writer(self) -> str | None:
        """Who is writing at this moment; None where nobody is."""
        if self.is_new:
            return None
        with database_errors("looking who writes"), self.engine.connect() as connection:
            return who_writes(connection, file=self.file, schema=self.schema)

    def loads(self) -> list[dict[str, Any]]:
        """The newest loads, the newest first: kind, dates and version; nothing where there is no ledger yet."""
        names = ("kind", "export_date", "started_at", "finished_at", "program_version")
        with database_errors("reading the ledger"), self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("loads", schema=self.schema):
                return []
            loads = lookup(self._metadata)("loads")
            columns = [loads.c[name] for name in names]
            query = sa.select(*columns).order_by(loads.c.export_date.desc(), loads.c.finished_at.desc())
            return [dict(row) for row in connection.execute(query.limit(MOST_LOADS)).mappings()]

    def loaded(self, most: int) -> tuple[list[Loaded], int]:
        """The loads that count, of the newest so many dates; and of how many dates there are any."""
        with database_errors("reading the ledger"), self.engine.connect() as connection:
            found = sa.inspect(connection)
            if not found.has_table("loads", schema=self.schema):
                return [], 0
            tables = lookup(self._metadata)
            is_current = {each["name"] for each in found.get_columns("loads", schema=self.schema)} >= {"is_complete"}
            loads = history.loaded(connection, tables, most, is_current=is_current)
            return loads, history.count_dates(connection, tables)

    def published(self) -> set[tuple[date, str]]:
        """The dates and kinds that are in the warehouse; none where the ledger is of an older version."""
        with database_errors("reading the ledger"), self.engine.connect() as connection:
            inspector, tables = sa.inspect(connection), lookup(self._metadata)
            if not inspector.has_table("loads", schema=self.schema):
                return set()
            there = {column["name"] for column in inspector.get_columns("loads", schema=self.schema)}
            return history.published(connection, tables) if there.issuperset(tables("loads").c.keys()) else set()

    def free_bytes(self) -> int | None:
        """Room on the disk of an SQLite file; None for a server, which does not tell."""
        if self.file is None:
            return None
        return shutil.disk_usage(next(each for each in self.file.parents if each.exists())).free

    def size_bytes(self) -> int | None:
        """How large an SQLite file is; None for a server, and for a file that is not there yet."""
        return None if self.file is None or self.is_new else self.file.stat().st_size


@contextmanager
def _rolled_back(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect() as connection:
        connection.execution_options(**{engines.BEGIN_OPTION: "IMMEDIATE"})
        with connection.begin() as transaction:
            yield connection
            transaction.rollback()


def _described(connection: sa.Connection) -> tuple[str, str | None]:
    """The product with its version, and how the connection is encrypted."""
    dialect = connection.dialect
    if dialect.name == "sqlite":
        return f"SQLite {connection.scalar(sa.text('SELECT sqlite_version()'))}", None
    if dialect.name == "postgresql":
        version = str(connection.scalar(sa.text("SHOW server_version"))).split(" ", 1)[0]
        return f"PostgreSQL {version}", _postgresql_encryption(connection)
    version = ".".join(map(str, dialect.server_version_info or ())) or "of an unknown version"
    if dialect.name in mysql.DIALECTS:
        product = "MariaDB" if getattr(dialect, "is_mariadb", False) else "MySQL"
        if "unix_socket" in connection.engine.url.query:
            return f"{product} {version}", None
        row = connection.execute(sa.text("SHOW SESSION STATUS LIKE 'Ssl_version'")).first()
        return f"{product} {version}", f"encrypted ({row[1]})" if row is not None and row[1] else NOT_ENCRYPTED
    return f"{dialect.name} {version}", None


def _postgresql_encryption(connection: sa.Connection) -> str | None:
    """As our side of the connection sees it: a pooler in between may have another one to the server."""
    driver: Any = connection.connection.driver_connection
    session = getattr(driver, "pgconn", None)
    if session is None:
        return "perhaps not encrypted: the driver does not tell"
    if session.host.startswith(b"/"):
        return None  # a socket in the file system
    return "encrypted (TLS)" if session.ssl_in_use else NOT_ENCRYPTED


def _own_the_tables(connection: sa.Connection, schema: str | None) -> None:
    """Raise SettingsError where tables of ours belong to another role: they could not be changed or filled."""
    query = sa.text(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = coalesce(:schema, current_schema()) AND c.relname = ANY(:names)"
        " AND NOT pg_has_role(c.relowner, 'USAGE')"
    )
    names = [*CONTRACT, *VIEWS]
    foreign = connection.scalar(query, {"schema": schema, "names": names})
    if foreign:
        raise SettingsError(
            f"{foreign} of the warehouse's tables and views belong to a role that the one in DRILLSTER_WAREHOUSE_URL "
            "is no member of, so loads can't write to them. Have an administrator run, for each: ALTER TABLE … OWNER "
            "TO …; or use the role that owns them"
        )


def _additions(difference: Difference) -> Iterator[str]:
    for word, names in (
        ("table", [table.name for table in difference.tables]),
        ("column", [f"{column.table.name}.{column.name}" for column in difference.columns]),
        ("index", [str(index.name) for index in difference.indexes]),
        ("view", difference.views),
    ):
        yield from (f"{word} {name}" for name in names)
    if difference.comments:
        yield f"{len(difference.comments)} comments"
