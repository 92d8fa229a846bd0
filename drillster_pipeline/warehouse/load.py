"""One load, from its first staged row to the transaction that shows it to everyone."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import sqlalchemy as sa

from drillster_pipeline.errors import Interrupted, PipelineError, Unavailable
from drillster_pipeline.extract.batches import Batch
from drillster_pipeline.tables import history_name
from drillster_pipeline.tables.schema import Kind

from .dialects import BEGIN_OPTION, dialect_of
from .engine import database_errors
from .ledger import CONTRACT, Before, look_back
from .load_plan import LoadPlan, LoadReport, ValidationResult
from .lock import LockWait
from .merge import publish
from .merge_context import Publication
from .model import lookup
from .snapshots import RowsRepeat
from .staging import Staging, StagingTables
from .validation import Validator

logger = logging.getLogger(__name__)


class Load:
    """Stage batches, judge them, publish them; made by ``Warehouse.loading``."""

    def __init__(
        self,
        connection: sa.Connection,
        metadata: sa.MetaData,
        staging: StagingTables,
        plan: LoadPlan,
        *,
        now: Callable[[], datetime],
        again: LockWait,
    ) -> None:
        self.load_id = f"{plan.export_date.isoformat()}-{plan.kind}-{secrets.token_hex(4)}"
        self._connection = connection
        self._metadata = metadata
        self._plan = plan
        self._now = now
        self._again = again
        self._started_at = now().astimezone(UTC)
        self._rows_read = dict.fromkeys(plan.tables, 0)
        self._validator: Validator
        self._validation: ValidationResult | None = None
        self._before: Before
        self._ended = False
        names = [name for name in CONTRACT if name in plan.tables]
        self._staging = Staging(connection, staging, names)
        with database_errors("connecting"), connection.begin():
            self._session = dialect_of(connection).session_id(connection)
        with self._step("making the staging tables"):
            self._staging.create()

    def stage(self, batch: Batch) -> None:
        """Bring a batch into staging. Raises Unavailable where the database or its disk gives out."""
        if self._validation is not None:
            raise RuntimeError("a load that was judged takes no more rows")
        name = batch.table.name
        with self._step(f"staging {name}"):
            self._staging.append(batch)
        self._rows_read[name] += batch.rows_read

    def validate(self, *, unreadable: Collection[str] = ()) -> ValidationResult:
        """Check everything that is staged; nothing is published yet. Raises GuardRefused. Again: what was found.

        ``unreadable``: tables that this load leaves out, with rows of which the key could not be read. What such a row
        may have named is not gone because nothing else names it.
        """
        if self._validation is None:
            self._staging.unreadable.update(unreadable)
            targets = {name: lookup(self._metadata)(name) for name in CONTRACT}
            with self._step("judging what was staged"):
                names = {*self._staging.tables, *map(history_name, self._staging.tables)}
                self._before = look_back(self._connection, self._metadata, names, self._plan.export_date)
                self._validator = Validator(self._connection, self._staging, targets, self._plan, self._before)
                self._validation = self._validator.validate(self._rows_read)
        return self._validation

    def merge(self) -> LoadReport:
        """Publish all tables and the ledger in one transaction; judges first where that was not done.

        Raises Interrupted where the database broke off the transaction, and nothing of it is there.
        """
        validation = self.validate()
        grown = self._ensure_partitions()
        while True:
            try:
                report = self._merge(validation)
                break
            except RowsRepeat:
                validation = self._validation = self._without_repeated(validation)
        if grown and not self._ended:
            # What was published stays so, whatever becomes of this.
            with suppress(PipelineError), self._step("gathering statistics"):
                for table in grown:
                    dialect_of(self._connection).gather_statistics(self._connection, table)
        self._ended = True
        return report

    def _without_repeated(self, validation: ValidationResult) -> ValidationResult:
        with self._step("leaving out repeated rows"):
            found = self._validator.leave_out_repeated(validation)
        again = {
            name: table.rows_repeated - validation.tables[name].rows_repeated for name, table in found.tables.items()
        }
        if told := ", ".join(f"{count:,} of {name}" for name, count in again.items() if count):
            logger.info("Rows came more than once, and are published without their repeats: %s", told)
        return found

    def _ensure_partitions(self) -> list[sa.Table]:
        """Attach the partitions that the date needs; which tables got one.

        Each in a transaction of its own: no table stays locked while another is waited for.
        """
        grown = []
        for name, staged in self._staging.tables.items():
            if staged.table.kind is Kind.SNAPSHOT and self._staging.rows[name]:
                table = lookup(self._metadata)(name)
                with self._step("making a partition"):
                    if dialect_of(self._connection).ensure_partition(self._connection, table, self._plan.export_date):
                        grown.append(table)
        return grown

    def _merge(self, validation: ValidationResult) -> LoadReport:
        """The one transaction; what it did. Raises RowsRepeat: nothing was published then."""
        publication = Publication(
            connection=self._connection,
            metadata=self._metadata,
            staging=self._staging,
            load_id=self.load_id,
            loaded_at=self._now().astimezone(UTC),
            export_date=self._plan.export_date,
            kind=self._plan.kind,
            before=self._before,
        )
        report = None
        try:
            # On SQLite a transaction that will write must say so at once, or it may fail halfway.
            with self._step("publishing", begin="IMMEDIATE"):
                report = publish(publication, self._plan, validation, started_at=self._started_at, now=self._now)
        except Interrupted:
            # A connection that was lost at the commit leaves open whether that came through.
            if report is None or not self._is_merged():
                raise
        return report

    def _is_merged(self) -> bool:
        """Whether this load is in the ledger, asked on a connection of its own as soon as there is one."""
        loads = lookup(self._metadata)("loads")
        query = sa.select(loads.c.load_id).where(loads.c.load_id == self.load_id)
        engine = self._connection.engine
        found: list[bool] = []

        def look() -> bool:
            with suppress(Unavailable), database_errors("looking at the ledger"), engine.connect() as other:
                found.append(other.execute(query).first() is not None)
            return bool(found)

        return self._again.until(look) and found[0]

    @contextmanager
    def _step(self, doing: str, *, begin: str = "") -> Iterator[None]:
        """One transaction of the load. After a failure there is no other: its staging may be gone."""
        if self._ended:
            raise RuntimeError("this load was published, or failed; begin another")
        self._connection.execution_options(**{BEGIN_OPTION: begin})
        try:
            with database_errors(doing), self._connection.begin():
                dialect_of(self._connection).check_session(self._connection, self._session)
                yield
        except RowsRepeat:  # what was staged is as it was
            raise
        except BaseException:
            self._ended = True
            raise

    def clear(self) -> None:
        """Remove the staging tables; also after a failure."""
        try:
            self._connection.execution_options(**{BEGIN_OPTION: ""})
            with self._connection.begin():
                self._staging.drop()
        except sa.exc.SQLAlchemyError:
            # The connection is lost, and what was temporary with it; the rest the next load clears.
            self._connection.invalidate()
