"""The warehouse: any SQL database that has the tables of the contract."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from typing import Any, Self

import sqlalchemy as sa

from drillster_pipeline.dates import wall_clock
from drillster_pipeline.privacy.erase import Person
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind

from . import all_organizations
from . import engine as engines
from .dialects import BEGIN_OPTION, dialect_of
from .engine import LockWait, database_errors, writer_lock
from .erase import Row, erase_person, has_account, read_person
from .ledger import CONTRACT, Ledger
from .load import Load
from .load_plan import LoadPlan
from .model import Tables, build, lookup
from .reads import count_rows
from .schema_sync import apply, compare
from .staging import StagingTables

Erase = Callable[..., dict[str, int]]
"""Takes a person out of every table: :func:`.erase.erase_person` without its first two arguments and ``now``."""
logger = logging.getLogger(__name__)
LOCK_WAIT_SECONDS = 300.0
"""How long a writer waits for another one: a nightly load of a large organization publishes within minutes."""


class Database:
    """A database, and one schema of it where it has schemas.

    Raises SettingsError where the driver is missing, or the folder of a file cannot be made.
    """

    def __init__(self, url: sa.URL, schema: str | None) -> None:
        self.schema = schema
        self.engine = engines.create_engine(url)
        self._dialect = dialect_of(self.engine)
        self.is_tested = self._dialect.is_tested
        self._metadata = build(CONTRACT.values(), dialect=self.engine.dialect.name, schema=schema)
        self._tables = lookup(self._metadata)
        self.ledger = Ledger(partial(self.reading, "reading the ledger"), self._tables)

    @contextmanager
    def reading(self, doing: str = "reading the tables") -> Iterator[tuple[sa.Connection, Tables]]:
        """A connection to read with, and the tables by name."""
        with database_errors(doing), self.engine.connect() as connection:
            yield connection, self._tables

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Warehouse(Database):
    """The database that loads are published in.

    ``url`` is SQLAlchemy's; a plain ``postgresql://`` picks psycopg 3. The folder of an SQLite file is made.
    Raises SettingsError where the URL, the schema or the driver will not do.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
        now: Callable[[], datetime] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(engines.parse_url(url, schema=schema), schema)
        self._wait = LockWait(seconds=lock_wait_seconds, monotonic=monotonic, sleep=sleep)
        self._now = now
        self._staging = StagingTables(self._dialect, schema)

    def __repr__(self) -> str:
        where = self.engine.url.database
        return f"Warehouse({self.engine.dialect.name}, {where}{'' if self.schema is None else f', {self.schema}'})"

    @property
    def caution(self) -> str | None:
        """What there is to know before relying on this kind of database; None where tests load a real one."""
        if self.is_tested:
            return None
        return (
            f"{self.engine.dialect.name} is not tested: the pipeline uses plain SQL there and has no lock that keeps "
            "two loads apart; compare the first runs with Drillster"
        )

    def prepare(self) -> None:
        """Create what is missing, add what is new in this version, renew views; cheap where there is nothing to do.

        Raises Refused, with instructions, where more than additions is needed; SettingsError where rights are
        missing; Busy where a load is under way and something must be changed.
        """
        if self.caution:
            logger.warning("Warehouse: %s.", self.caution)
        with self.reading("reading the schema") as (connection, _):
            if self._dialect.is_set_up(connection) and not compare(connection, self._metadata):
                return
        with database_errors("preparing the tables"), self._writing("prepare") as connection:
            # Before this lock was taken another process may have done the work.
            self._dialect.set_up(connection)
            with connection.begin():
                self._dialect.prepare_schema(connection, self.schema)
                with all_organizations.renewed(connection, self.schema):
                    apply(connection, compare(connection, self._metadata))

    @contextmanager
    def _writing(self, purpose: str) -> Iterator[sa.Connection]:
        """A session to write with, and the writer lock. Raises Busy where another writer has it for too long."""
        with database_errors("connecting"):
            connection = self.engine.connect()
        try:
            with database_errors("connecting"), connection.begin():
                self._dialect.lift_limits(connection)
            with writer_lock(connection, self.schema, wait=self._wait, purpose=purpose):
                connection.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
                yield connection
        finally:
            # The session ends here: what was temporary in it, and a lock that could not be released, go with it.
            connection.invalidate()
            connection.close()

    @contextmanager
    def loading(self, plan: LoadPlan) -> Iterator[Load]:
        """One load, with the writer lock held from its first row to its last.

        Raises Busy where another writer has the lock for too long.
        """
        with self._writing(f"run {plan.run_id} ({plan.kind} of {plan.export_date})") as connection:
            load = Load(connection, self._tables, self._staging, plan, now=self._now, again=self._wait)
            try:
                yield load
            finally:
                load.clear()

    @contextmanager
    def erasing(self) -> Iterator[Erase]:
        """Take the writer lock, so that no load reads what is erased from the archive; gives what erases a person.

        Raises Busy where a load has the lock for too long.
        """
        with database_errors("erasing a person"), self._writing("forget") as connection:
            with connection.begin():
                self._staging.clear_dead(connection)
            yield partial(self._erase_person, connection)

    def _erase_person(self, connection: sa.Connection, person: Person, **options: Any) -> dict[str, int]:
        """Take a person out of every table and record that it was done; returns the rows per table.

        On SQLite the file is written anew and the log emptied, so that no trace is left. Raises Busy
        where another program reads the file for so long that the log can't be emptied; to erase once more does it.
        """
        self._dialect.begin_erasing(connection)
        with connection.begin():
            erased = erase_person(connection, self._tables, person, now=self._now(), **options)
        self._dialect.remove_traces(connection)
        return erased

    def drop_snapshots(self, before: date) -> dict[str, int]:
        """Remove the rows of dates before ``before`` from the snapshot tables; returns the rows per table.

        A table in partitions loses whole months, in no time and with its space; its remaining old dates go with the
        rest of their month. Any other loses date after date. Each is a transaction of its own. Raises Busy where a
        long query is in the way.
        """
        with database_errors("removing old snapshots"), self._writing("prune") as connection:
            names = [name for name, declared in DATA_TABLES.items() if declared.kind is Kind.SNAPSHOT]
            dropped = {name: self._drop(connection, self._tables(name), before) for name in names}
            return {name: count for name, count in dropped.items() if count}

    def _drop(self, connection: sa.Connection, table: sa.Table, before: date) -> int:
        removed = self._dialect.drop_partitions(connection, table, before, self._wait.sleep)
        if removed is not None:
            return removed
        removed = 0
        while True:
            with connection.begin():
                oldest = connection.scalar(sa.select(sa.func.min(table.c.export_date)))
                if oldest is None or oldest >= before:
                    return removed
                removed += connection.execute(sa.delete(table).where(table.c.export_date == oldest)).rowcount

    def renew_seal(self, capture_id: str, *, earlier: Collection[str], now: str) -> None:
        """Note that a capture's manifest was redacted: loads that were made of an earlier form of it name the new."""
        loads = self._tables("loads")
        renewed = sa.update(loads).values(manifest_sha256=now)
        with database_errors("noting a redaction"), self.engine.begin() as connection:
            connection.execute(
                renewed.where(loads.c.capture_id == capture_id, loads.c.manifest_sha256.in_(list(earlier)))
            )

    def has_account(self, person: Person) -> bool:
        """Whether any table has the account; the names and addresses that it has of it are added to the person."""
        with self.reading() as (connection, tables):
            return has_account(connection, tables, person)

    def read_person(
        self, person: Person, erased_text: Callable[[str], str]
    ) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
        """The rows about a person, and the running texts that name the person, by table; nothing is changed."""
        with self.reading("reading what there is of a person") as (connection, tables):
            self._dialect.read_one_state(connection)
            return read_person(connection, tables, person, erased_text)

    def row_counts(self, tables: Iterable[str] = DATA_TABLES) -> dict[str, int]:
        """How many rows each table has, rows marked deleted included."""
        with self.reading() as (connection, table):
            return {name: count_rows(connection, table(name)) for name in tables}

    def names_of_others(self, account_id: str) -> set[str]:
        """The names of all people but one."""
        names: set[str] = set()
        with self.reading() as (connection, tables):
            for name in ("accounts", "accounts_history", "group_members", "group_members_history"):
                rows = tables(name)
                is_other = sa.or_(rows.c.account_id.is_(None), rows.c.account_id != account_id)
                found = sa.select(rows.c.name).where(is_other, rows.c.name.is_not(None)).distinct()
                names.update(connection.scalars(found))
        return names

    def names(self, table: str, *, is_present: bool = False) -> dict[str, str | None]:
        """The names, by id, of the things of an entity table; ``is_present``: of those that are not marked deleted."""
        with self.reading() as (connection, tables):
            rows = tables(table)
            (key,) = rows.primary_key.columns
            query = sa.select(key, rows.c.name)
            found = connection.execute(query.where(rows.c.deleted_on.is_(None)) if is_present else query)
            return {row[0]: row[1] for row in found}
