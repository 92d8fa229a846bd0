"""One load, from its first staged row to the one transaction in which all of it appears."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from drillster_pipeline.errors import Interrupted, PipelineError, Unavailable
from drillster_pipeline.extract.batches import Batch
from drillster_pipeline.tables import history_name
from drillster_pipeline.tables.schema import Kind

from . import daily
from .dialects import BEGIN_OPTION, dialect_of
from .engine import LockWait, database_errors
from .entities import merge_entities
from .ledger import CONTRACT, LedgerState, never_loaded, read_state
from .load_plan import Counts, LoadPlan, LoadReport, LoadType, TableReport, ValidationResult
from .merge import Merge, RepeatedRows, merge_events, merge_snapshot
from .model import Tables
from .staging import Staged, Staging, StagingTables
from .validation import Validator, reject_long_keys

_AS_PLANNED = (
    *("run_id", "export_date", "kind", "captured_from", "captured_until", "archive_url", "program_version"),
    *("capture_id", "manifest_sha256", "timezone", "requests_refused"),
)
"""Columns of ``loads`` that the plan of a load has under the same name."""
logger = logging.getLogger(__name__)


class Load:
    """Stage batches, validate them, merge them; made by ``Warehouse.loading``."""

    def __init__(
        self,
        connection: sa.Connection,
        tables: Tables,
        staging: StagingTables,
        plan: LoadPlan,
        *,
        now: Callable[[], datetime],
        again: LockWait,
    ) -> None:
        self.load_id = f"{plan.export_date.isoformat()}-{plan.kind}-{secrets.token_hex(4)}"
        self._connection = connection.execution_options(**{BEGIN_OPTION: ""})
        self._dialect = dialect_of(connection)
        self._tables = tables
        self._plan = plan
        self._now = now
        self._again = again
        self._started_at = now().astimezone(UTC)
        self._rows_read = dict.fromkeys(plan.tables, 0)
        self._validator: Validator
        self._validation: ValidationResult | None = None
        self._state: LedgerState
        self._ended = False
        self._has_bounded_keys = staging.bounded
        self._staging = Staging(connection, staging, [name for name in CONTRACT if name in plan.tables])
        with database_errors("connecting"), connection.begin():
            self._session = self._dialect.session_id(connection)
        with self._step("making the staging tables"):
            self._staging.create()

    def stage(self, batch: Batch) -> None:
        """Stage a batch. Raises Unavailable where the database or its disk fails."""
        if self._validation is not None:
            raise RuntimeError("a load that was validated takes no more rows")
        name = batch.table.name
        with self._step(f"staging {name}"):
            self._staging.append(reject_long_keys(batch) if self._has_bounded_keys else batch)
        self._rows_read[name] += batch.rows_read

    def validate(self, *, unreadable: Collection[str] = ()) -> ValidationResult:
        """Check everything that is staged, before anything is merged. Raises GuardRefused. Again: the same result.

        ``unreadable``: tables that this load leaves out, with rows of which the key could not be read. Such a row may
        refer to a thing that nothing else refers to, so that is not gone.
        """
        if self._validation is None:
            self._staging.unreadable.update(unreadable)
            with self._step("validating what was staged"):
                names = {*self._staging.tables, *map(history_name, self._staging.tables)}
                self._state = read_state(self._connection, self._tables, names, self._plan.export_date)
                self._validator = Validator(self._connection, self._staging, self._tables, self._plan, self._state)
                self._validation = self._validator.validate(self._rows_read)
        return self._validation

    def merge(self) -> LoadReport:
        """Merge all tables and write the ledger in one transaction; validates first where that was not done.

        Raises Interrupted where the database broke off the transaction, and nothing of it is there.
        """
        validation = self.validate()
        attached = self._ensure_partitions()
        while True:
            try:
                report = self._merge(validation)
                break
            except RepeatedRows:
                validation = self._validation = self._without_repeated(validation)
        if attached and not self._ended:
            # What was merged stays so, whether or not this succeeds.
            with suppress(PipelineError), self._step("gathering statistics"):
                for table in attached:
                    self._dialect.gather_statistics(self._connection, table)
        self._ended = True
        return report

    def _without_repeated(self, validation: ValidationResult) -> ValidationResult:
        with self._step("leaving out repeated rows"):
            found = self._validator.leave_out_repeated(validation)
        again = {
            name: table.rows_repeated - validation.tables[name].rows_repeated for name, table in found.tables.items()
        }
        if message := ", ".join(f"{count:,} of {name}" for name, count in again.items() if count):
            logger.info("Rows came more than once, and are merged without their repeats: %s", message)
        return found

    def _ensure_partitions(self) -> list[sa.Table]:
        """Attach the partitions that the date needs; returns the tables that got one.

        Each in a transaction of its own: no table stays locked while another is waited for.
        """
        attached = []
        for name, staged in self._staging.tables.items():
            if staged.table.kind is Kind.SNAPSHOT and self._staging.rows[name]:
                with self._step("making a partition"):
                    if self._dialect.ensure_partition(self._connection, self._tables(name), self._plan.export_date):
                        attached.append(self._tables(name))
        for table in attached:
            with self._step("waiting for queries that do not know a new partition"):
                self._dialect.wait_for_planning(self._connection, table, self._again.sleep)
        return attached

    def _merge(self, validation: ValidationResult) -> LoadReport:
        """The one transaction. Raises RepeatedRows: nothing was merged then."""
        merge = Merge(
            connection=self._connection,
            tables=self._tables,
            staging=self._staging,
            load_id=self.load_id,
            loaded_at=self._now().astimezone(UTC),
            export_date=self._plan.export_date,
            kind=self._plan.kind,
            state=self._state,
        )
        report = None
        try:
            # On SQLite a transaction that will write must say so at once, or it may fail halfway.
            with self._step("publishing", begin="IMMEDIATE"):
                report = self._merge_all(merge, validation)
        except Interrupted:
            # A connection that was lost at the commit leaves open whether that succeeded.
            if report is None or not self._is_merged():
                raise
        return report

    def _merge_all(self, merge: Merge, validation: ValidationResult) -> LoadReport:
        is_complete = self._is_complete(validation)
        self._write_load(merge, is_complete=is_complete)
        reports = {}
        for name, staged in self._staging.tables.items():
            validated = validation.tables[name]
            counts = _merge_table(merge, staged, self._plan.tables[name].load_type, is_complete=validated.is_complete)
            rows_read = validated.rows_staged + validated.rows_rejected
            reports[name] = TableReport(rows_read=rows_read, rows_rejected=validated.rows_rejected, **asdict(counts))
        self._write_figures(merge)
        self._write_tables(merge, validation, reports)
        self._write_rejects(merge)
        loads, finished_at = self._tables("loads"), self._now().astimezone(UTC)
        merge.run(sa.update(loads).values(finished_at=finished_at).where(loads.c.load_id == self.load_id))
        return LoadReport(load_id=self.load_id, tables=reports, finished_at=finished_at, is_complete=is_complete)

    def _is_complete(self, validation: ValidationResult) -> bool:
        """Whether all tables of the kind are fully loaded, but for those that could never be expected to be."""
        plan = self._plan
        if not plan.all_tables or any(table.is_mostly_rejected for table in validation.tables.values()):
            return False
        if not all(plan.unread.values()):
            return False
        return not plan.unread or never_loaded(self._connection, self._tables, plan)

    def _write_load(self, merge: Merge, *, is_complete: bool) -> None:
        plan = self._plan
        merge.run(
            sa.insert(self._tables("loads")).values(
                load_id=self.load_id,
                started_at=self._started_at,
                finished_at=merge.loaded_at,  # until the last statement
                is_whole=plan.all_tables,
                is_complete=is_complete,
                date_begins_at=plan.window and plan.window.start,
                date_ends_at=plan.window and plan.window.end,
                **{name: getattr(plan, name) for name in _AS_PLANNED},
            )
        )

    def _write_figures(self, merge: Merge) -> None:
        """The figures of the date."""
        staged = self._staging.tables
        if self._plan.kind == "snapshot" and (rows := daily.rows_of(self._tables, staged.keys())):
            if "test_results" in rows:  # the table may have what later dates showed
                rows["test_results"] = staged["test_results"].rows
            daily.write(self._connection, self._tables, merge.export_date, rows, merge.stamp)

    def _write_tables(self, merge: Merge, validation: ValidationResult, reports: Mapping[str, TableReport]) -> None:
        loads, load_tables = self._tables("loads"), self._tables("load_tables")
        # Of two loads of a date, histories follow the newest one.
        of_date = sa.select(loads.c.load_id).where(loads.c.export_date == self._plan.export_date)
        merge.run(
            sa.update(load_tables)
            .values(in_history=sa.false())
            .where(
                load_tables.c.table_name.in_([name for name, each in reports.items() if each.history_rows is not None]),
                load_tables.c.in_history.is_(sa.true()),
                load_tables.c.load_id.in_(of_date),
            )
        )
        rows = []
        for name, report in reports.items():
            validated, is_additive = validation.tables[name], self._plan.tables[name].load_type is LoadType.ADDITIVE
            is_full = name not in self._plan.unread and not validated.is_mostly_rejected
            rows.append(
                {
                    "load_id": self.load_id,
                    "table_name": name,
                    **asdict(report),
                    "is_complete": validated.is_complete,
                    "is_fully_loaded": None if is_additive else is_full,
                    "in_history": None if report.history_rows is None else True,
                }
            )
        if rows:
            self._connection.execute(sa.insert(load_tables), rows)

    def _write_rejects(self, merge: Merge) -> None:
        load_id = sa.literal(self.load_id)
        rejects, unobserved = self._staging.rejects, self._staging.unobserved
        names = ["table_name", "row_number", "reason", "record"]
        rejected = sa.select(load_id, *(rejects.c[name] for name in names))
        merge.run(sa.insert(self._tables("rejected_rows")).from_select(["load_id", *names], rejected))
        number = sa.func.row_number().over(partition_by=unobserved.c.table_name, order_by=unobserved.c.value)
        found = sa.select(load_id, unobserved.c.table_name, number, unobserved.c.scope, unobserved.c.value)
        names = ["load_id", "table_name", "exception_number", "scope", "value"]
        merge.run(sa.insert(self._tables("load_exceptions")).from_select(names, found))

    def _is_merged(self) -> bool:
        """Whether this load is in the ledger, read on a connection of its own as soon as there is one."""
        loads = self._tables("loads")
        query = sa.select(loads.c.load_id).where(loads.c.load_id == self.load_id)
        engine = self._connection.engine
        found: list[bool] = []

        def is_answered() -> bool:
            with suppress(Unavailable), database_errors("reading the ledger"), engine.connect() as other:
                found.append(other.execute(query).first() is not None)
            return bool(found)

        return self._again.until(is_answered) and found[0]

    @contextmanager
    def _step(self, doing: str, *, begin: str = "") -> Iterator[None]:
        """One transaction of the load. After a failure there is no other: its staging may be gone."""
        if self._ended:
            raise RuntimeError("this load was merged, or failed; begin another")
        self._connection.execution_options(**{BEGIN_OPTION: begin})
        try:
            with database_errors(doing), self._connection.begin():
                self._dialect.check_session(self._connection, self._session)
                yield
        except RepeatedRows:  # what was staged is as it was
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
            # The connection is lost, and what was temporary with it; the rest is cleared by the next load.
            self._connection.invalidate()


def _merge_table(merge: Merge, staged: Staged, load_type: LoadType, *, is_complete: bool) -> Counts:
    if staged.table.kind is Kind.SNAPSHOT:
        return merge_snapshot(merge, staged, load_type, is_complete=is_complete)
    if staged.table.kind is Kind.EVENT:
        return merge_events(merge, staged)
    counts = merge_entities(merge, staged, load_type, is_complete=is_complete)
    placeholders = merge.insert_placeholders(staged) if len(staged.table.key) == 1 else 0
    return replace(counts, rows_inserted=counts.rows_inserted + placeholders)
