"""The warehouse: any SQL database that the contract lives in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.privacy.erase import Person
from drillster_pipeline.tables import DATA_TABLES

from . import engine as engines
from .dialects import BEGIN_OPTION, dialect_of
from .engine import database_errors
from .erase import erase_person, knows
from .ledger import CONTRACT, Ledger
from .load import Load
from .load_plan import LoadPlan
from .lock import LockWait, writer_lock
from .model import Tables, build, lookup
from .reads import count_rows
from .retention import drop_snapshots
from .schema_sync import apply, compare
from .staging import StagingTables

Erase = Callable[..., dict[str, int]]
"""Takes a person out of every table: :func:`.erase.erase_person` without its first two arguments and ``now``."""
logger = logging.getLogger(__name__)
LOCK_WAIT_SECONDS = 300.0
"""How long a writer waits for another one: a nightly load of a large organization publishes within minutes."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Warehouse:
    """A database, and one schema of it where it has schemas.

    ``url`` is SQLAlchemy's; a plain ``postgresql://`` picks psycopg 3. The folder of an SQLite file is made.
    Raises SettingsError where the URL, the schema or the driver will not do.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parsed = engines.parse_url(url, schema=schema)
        self.schema = schema
        self.engine = engines.create_engine(parsed)
        self._dialect = dialect_of(self.engine)
        self._wait = LockWait(seconds=lock_wait_seconds, monotonic=monotonic, sleep=sleep)
        self._now = now
        self._metadata = build(CONTRACT.values(), dialect=self.engine.dialect.name, schema=schema)
        self._tables = lookup(self._metadata)
        self._staging = StagingTables(self._dialect, schema)
        self.ledger = Ledger(self._reading_ledger, self._tables)

    def __repr__(self) -> str:
        where = self.engine.url.database
        return f"Warehouse({self.engine.dialect.name}, {where}{'' if self.schema is None else f', {self.schema}'})"

    @property
    def caution(self) -> str | None:
        """What there is to know before relying on this kind of database; None where tests load a real one."""
        name = self.engine.dialect.name
        if self._dialect.is_tested:
            return None
        return (
            f"{name} is not tested: the pipeline uses plain SQL there and has no lock that keeps two loads apart; "
            "compare the first runs with Drillster"
        )

    def prepare(self) -> None:
        """Create what is missing, add what is new in this version, renew views; cheap where there is nothing to do.

        Raises Refused, with instructions, where more than additions is needed; SettingsError where rights are
        missing; Busy where a load is under way and something must be changed.
        """
        if self.caution:
            logger.warning("Warehouse: %s.", self.caution)
        with database_errors("looking at the tables"), self.engine.connect() as connection:
            if self._dialect.is_set_up(connection) and not compare(connection, self._metadata):
                return
        with (
            database_errors("preparing the tables"),
            self._writing() as connection,
            self._lock(connection, "prepare"),
        ):
            # Between the look above and the lock another process may have done the work.
            self._dialect.set_up(connection)
            connection.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
            with connection.begin():
                self._dialect.prepare_schema(connection, self.schema)
                apply(connection, compare(connection, self._metadata))

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self.engine.connect() as connection:
            self._lift_limits(connection)
            yield connection

    def _lift_limits(self, connection: sa.Connection) -> None:
        with database_errors("connecting"), connection.begin():
            self._dialect.lift_limits(connection)

    def _lock(self, connection: sa.Connection, purpose: str) -> AbstractContextManager[None]:
        return writer_lock(connection, self.schema, wait=self._wait, purpose=purpose)

    @contextmanager
    def loading(self, plan: LoadPlan) -> Iterator[Load]:
        """One load, with the writer lock held from its first row to its last.

        Raises Busy where another load holds the lock for too long.
        """
        with database_errors("connecting"):
            connection = self.engine.connect()
        try:
            self._lift_limits(connection)
            with self._lock(connection, f"run {plan.run_id} ({plan.kind} of {plan.export_date})"):
                load = Load(connection, self._tables, self._staging, plan, now=self._now, again=self._wait)
                try:
                    yield load
                finally:
                    load.clear()
        finally:
            # The session ends here: what was temporary in it, and a lock that could not be released, go with it.
            connection.invalidate()
            connection.close()

    @contextmanager
    def erasing(self) -> Iterator[Erase]:
        """Hold the writer lock, so that no load reads what is taken out of the archive; gives what erases a person.

        Raises Busy where a load holds the lock for too long.
        """
        with (
            database_errors("erasing a person"),
            self._writing() as connection,
            self._lock(connection, "forget"),
        ):
            with connection.begin():
                self._staging.clear_dead(connection)
            yield partial(self._erase_person, connection)

    def _erase_person(self, connection: sa.Connection, person: Person, **options: Any) -> dict[str, int]:
        """Take a person out of every table and record that it was done; returns the rows per table.

        On SQLite the file is written anew and the log emptied, so that it holds no trace. Raises Busy
        where somebody reads the file for so long that the log can't be emptied; to erase once more does it.
        """
        self._dialect.begin_erasing(connection)
        connection.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
        with connection.begin():
            erased = erase_person(connection, self._tables, person, now=self._now(), **options)
        self._dialect.remove_traces(connection)
        return erased

    def drop_snapshots(self, before: date) -> dict[str, int]:
        """Remove the rows of dates before ``before`` from the snapshot tables; returns the rows per table.

        On PostgreSQL whole months go, once all of their dates are old. Raises Busy where a long query is in the way.
        """
        with (
            database_errors("removing old snapshots"),
            self._writing() as connection,
            self._lock(connection, "prune"),
        ):
            return drop_snapshots(connection, self._tables, before, sleep=self._wait.sleep)

    def renew_seal(self, capture_id: str, *, earlier: Collection[str], now: str) -> None:
        """Note that a capture's manifest was redacted: loads that were made of an earlier form of it name the new."""
        loads = self._tables("loads")
        renewed = sa.update(loads).values(manifest_sha256=now)
        with database_errors("noting a redaction"), self.engine.begin() as connection:
            connection.execute(
                renewed.where(loads.c.capture_id == capture_id, loads.c.manifest_sha256.in_(list(earlier)))
            )

    def knows(self, person: Person) -> bool:
        """Whether any table knows the account; the names and addresses that it has of it are added to the person."""
        with self.reading() as (connection, tables):
            return knows(connection, tables, person)

    def row_counts(self, tables: Iterable[str] = DATA_TABLES) -> dict[str, int]:
        """How many rows each table has, rows marked deleted included."""
        with self.reading() as (connection, table):
            return {name: count_rows(connection, table(name)) for name in tables}

    def present_groups(self) -> set[str]:
        """Ids of the groups that are not marked deleted."""
        with self.reading() as (connection, tables):
            groups = tables("groups")
            return set(connection.scalars(sa.select(groups.c.group_id).where(groups.c.deleted_on.is_(None))))

    @contextmanager
    def reading(self) -> Iterator[tuple[sa.Connection, Tables]]:
        """A connection to read with, and the tables by name."""
        with database_errors("reading the tables"), self.engine.connect() as connection:
            yield connection, self._tables

    @contextmanager
    def _reading_ledger(self) -> Iterator[sa.Connection]:
        with database_errors("reading the ledger"), self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
