"""The one transaction: all tables of a load, its ledger and its rejects appear together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from drillster_pipeline.tables.schema import Kind

from .entities import publish_entities
from .events import publish_events
from .ledger import never_loaded
from .load_plan import LoadPlan, LoadReport, LoadType, TableReport, ValidationResult
from .merge_context import Counts, Publication
from .scd2 import leave_to_this_load
from .snapshots import publish_snapshot
from .staging import Staged


def publish(
    publication: Publication,
    plan: LoadPlan,
    validation: ValidationResult,
    *,
    started_at: datetime,
    now: Callable[[], datetime],
) -> LoadReport:
    """Publish what was staged and judged, inside the caller's transaction, which is to be committed at once."""
    is_complete = _is_complete(publication, plan, validation)
    _write_load(publication, plan, started_at, is_complete=is_complete)
    reports: dict[str, TableReport] = {}
    for name, staged in publication.staging.tables.items():
        judged = validation.tables[name]
        counts = _publish_table(publication, staged, plan.tables[name].load_type, is_complete=judged.is_complete)
        reports[name] = TableReport(
            rows_read=judged.rows_staged + judged.rows_rejected,
            rows_rejected=judged.rows_rejected,
            rows_inserted=counts.inserted,
            rows_updated=counts.updated,
            rows_deleted=counts.deleted,
            rows_unchanged=counts.unchanged,
            history_rows=counts.history,
        )
    leave_to_this_load(publication, [name for name, report in reports.items() if report.history_rows is not None])
    _write_tables(publication, plan, validation, reports)
    _write_rejects(publication)
    loads, finished_at = publication.target("loads"), now().astimezone(UTC)
    publication.run(sa.update(loads).values(finished_at=finished_at).where(loads.c.load_id == publication.load_id))
    return LoadReport(load_id=publication.load_id, tables=reports, finished_at=finished_at, is_complete=is_complete)


def _is_complete(publication: Publication, plan: LoadPlan, validation: ValidationResult) -> bool:
    """Whether all tables of the kind are fully loaded, but for those that nobody could ever expect to be."""
    if not plan.all_tables or any(table.is_mostly_rejected for table in validation.tables.values()):
        return False
    if not all(plan.unread.values()):
        return False
    return not plan.unread or never_loaded(publication.connection, publication.metadata, plan)


def _publish_table(publication: Publication, staged: Staged, load_type: LoadType, *, is_complete: bool) -> Counts:
    if staged.table.kind is Kind.ENTITY:
        counts = publish_entities(publication, staged, load_type, is_complete=is_complete)
        stubs = publication.insert_stubs(staged) if len(staged.table.key) == 1 else 0
        return replace(counts, inserted=counts.inserted + stubs)
    if staged.table.kind is Kind.SNAPSHOT:
        return publish_snapshot(publication, staged, load_type, is_complete=is_complete)
    return publish_events(publication, staged)


def _write_load(publication: Publication, plan: LoadPlan, started_at: datetime, *, is_complete: bool) -> None:
    publication.run(
        sa.insert(publication.target("loads")).values(
            load_id=publication.load_id,
            run_id=plan.run_id,
            export_date=plan.export_date,
            kind=plan.kind,
            started_at=started_at,
            finished_at=publication.loaded_at,  # until the last statement
            captured_from=plan.captured_from,
            captured_until=plan.captured_until,
            archive_url=plan.archive_url,
            program_version=plan.program_version,
            capture_id=plan.capture_id,
            manifest_sha256=plan.manifest_sha256,
            is_whole=plan.all_tables,
            is_complete=is_complete,
            timezone=plan.timezone,
            date_begins_at=plan.window and plan.window.start,
            date_ends_at=plan.window and plan.window.end,
            requests_refused=plan.requests_refused,
        )
    )


def _write_tables(
    publication: Publication, plan: LoadPlan, validation: ValidationResult, reports: Mapping[str, TableReport]
) -> None:
    rows = [
        {
            "load_id": publication.load_id,
            "table_name": name,
            "rows_read": report.rows_read,
            "rows_rejected": report.rows_rejected,
            "rows_inserted": report.rows_inserted,
            "rows_updated": report.rows_updated,
            "rows_deleted": report.rows_deleted,
            "rows_unchanged": report.rows_unchanged,
            "is_complete": validation.tables[name].is_complete,
            "is_fully_loaded": None
            if plan.tables[name].load_type is LoadType.ADDITIVE
            else name not in plan.unread and not validation.tables[name].is_mostly_rejected,
            "in_history": None if report.history_rows is None else True,
            "history_rows": report.history_rows,
        }
        for name, report in reports.items()
    ]
    if rows:
        publication.connection.execute(sa.insert(publication.target("load_tables")), rows)


def _write_rejects(publication: Publication) -> None:
    load_id = sa.literal(publication.load_id)
    rejects, exceptions = publication.staging.rejects, publication.staging.exceptions
    names = ("table_name", "row_number", "reason", "record")
    publication.run(
        sa.insert(publication.target("rejected_rows")).from_select(
            ["load_id", *names], sa.select(load_id, *(rejects.c[name] for name in names))
        )
    )
    number = sa.func.row_number().over(partition_by=exceptions.c.table_name, order_by=exceptions.c.value)
    publication.run(
        sa.insert(publication.target("load_exceptions")).from_select(
            ["load_id", "table_name", "exception_number", "scope", "value"],
            sa.select(load_id, exceptions.c.table_name, number, exceptions.c.scope, exceptions.c.value),
        )
    )
