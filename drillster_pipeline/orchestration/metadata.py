"""Metadata of assets: numbers, which the UI plots, a sentence, whether the read was complete, and two pictures.

Dagster keeps all of it, and `forget` does not reach it there: so rows are shown without what is personal or free text
(see :mod:`drillster_pipeline.warehouse.reads`), and groups by their ids, as a group is often called after its coach.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.report.charts import picture
from drillster_pipeline.resources import entry_of
from drillster_pipeline.tables import Kind, Table

from .specs import REPORT, resource_key, table_key

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.capture import CaptureOutcome
    from drillster_pipeline.pipeline.publish import LoadQuality, PublishOutcome
    from drillster_pipeline.pipeline.report import WrittenReport

_GAPS_SHOWN = 10
_COMPLETE = {
    Kind.EVENT: "Yes: everything that Drillster gives was read. Events are never deleted.",
    Kind.SNAPSHOT: "Yes: everything was read. All rows of the date were replaced.",
    Kind.ENTITY: "Yes: everything was read. Rows that are gone from Drillster were marked deleted.",
}


def captured(resource: str, outcome: CaptureOutcome) -> dg.MaterializeResult[Any]:
    """The asset of a resource, after its capture."""
    manifest = outcome.capture.manifest
    entry, walk = entry_of(manifest, resource), manifest["walk"]
    cost = {name: walk[name] for name in ("requests", "retries", "seconds")} | {"tokens": walk["grants"]}
    return dg.MaterializeResult(
        asset_key=resource_key(resource),
        metadata={
            "export_date": str(outcome.capture.ref.export_date),
            "how": str(outcome.how),
            "status": entry["status"],
            "dagster/partition_row_count": entry["items"],
            "units": entry["units"],
            "pages": entry["pages"],
            "bytes": sum(part["bytes"] for part in entry["parts"]),
            "captured_until": manifest["captured_until"],
            "capture_id": outcome.capture.capture_id,
            **({"unavailable": entry["why"]} if "why" in entry else {}),
            **({f"capture_{name}": value for name, value in cost.items()} if outcome.made_requests else {}),
        },
    )


def published(table: Table, outcome: PublishOutcome, quality: LoadQuality, seconds: float) -> dg.MaterializeResult[Any]:
    """The asset of a table, after its load."""
    report = outcome.report.tables[table.name]
    rows = rows_of(report)
    return dg.MaterializeResult(
        asset_key=table_key(table.name),
        metadata={
            "export_date": str(outcome.export_date),
            "summary": _summary(table, outcome, quality),
            "complete": _complete(table, outcome),
            "last_dates": _last_dates(table, outcome, quality),
            **_figures(table, quality),
            **_sample_rows(table, quality),
            "dagster/partition_row_count": rows,
            # The rows of a date of a snapshot; of events nobody counts all, which would take ever longer.
            **({} if table.kind is Kind.EVENT else {"dagster/row_count": rows}),
            "rows_inserted": report.rows_inserted,
            "rows_updated": report.rows_updated,
            "rows_unchanged": report.rows_unchanged,
            "rows_deleted": report.rows_deleted,
            "rows_rejected": report.rows_rejected,
            "rows_read": report.rows_read,
            **({} if report.history_rows is None else {"history_rows": report.history_rows}),
            "load_id": outcome.report.load_id,
            "capture_id": outcome.capture.capture_id,
            "load_seconds": round(seconds, 3),
        },
    )


def reported(written: WrittenReport) -> dg.MaterializeResult[Any]:
    """The asset of the report: where the page is, and its figures without names."""
    figures = written.figures
    link = dg.MetadataValue.url if "://" in written.location else dg.MetadataValue.path
    found: dict[str, Any] = {
        "page": link(written.location),
        "bytes": written.size,
        "rows_rejected": figures.data.rejected,
    }
    if missing := (*figures.data.missing, *figures.data.incomplete):
        found["not_read_completely"] = ", ".join(missing)
    if figures.has_read("objective_evaluations"):
        found["people_overdue"] = figures.overdue_people
        if (share := figures.compliance[-1]) is not None:
            found["objectives_met_percentage"] = round(share, 1)
    if figures.has_read("results"):
        practice = figures.practice
        found |= {
            "learners": practice.learners,
            "practiced_in_7_days": practice.practicing,
            "no_practice_for_30_days": practice.stopped,
        }
    return dg.MaterializeResult(asset_key=REPORT, metadata=found)


def rows_of(load: Any) -> int:
    """How many rows of a table are there after a load, of its date."""
    return int(load.rows_inserted + load.rows_updated + load.rows_unchanged)


def _summary(table: Table, outcome: PublishOutcome, quality: LoadQuality) -> str:
    """How many rows, against the date before, and what became of them."""
    report = outcome.report.tables[table.name]
    rows = rows_of(report)
    words = f"{rows:,} row{'' if rows == 1 else 's'}"
    if before := next(iter(_before(table, outcome, quality)), None):
        more = rows - before.rows
        change = "as many as" if not more else f"{abs(more):,} {'more' if more > 0 else 'fewer'} than"
        words += f", {change} on {before.export_date}"
    changes = {"rejected": report.rows_rejected}
    if table.kind is not Kind.SNAPSHOT:  # every row of a date is a new one
        changes |= {"new": report.rows_inserted, "changed": report.rows_updated, "deleted": report.rows_deleted}
    counts = ", ".join(f"{number:,} {what}" for what, number in changes.items() if number)
    return f"{words}. {counts.capitalize() or ('None rejected' if table.kind is Kind.SNAPSHOT else 'Nothing changed')}."


def _before(table: Table, outcome: PublishOutcome, quality: LoadQuality) -> list[Any]:
    """The loads of the dates before this one, the newest first."""
    loads = quality.last_loads.get(table.name, ())
    return [load for load in loads if load.export_date < outcome.export_date]


def _complete(table: Table, outcome: PublishOutcome) -> str:
    """Whether everything was read, and what that means for rows that are no longer in Drillster's responses."""
    from drillster_pipeline.pipeline.guard import read_gaps_of

    is_complete = outcome.validation.tables[table.name].is_complete
    if gaps := read_gaps_of(table, outcome.capture.manifest):
        shown = "; ".join(map(str, gaps[:_GAPS_SHOWN])) + ("; …" if len(gaps) > _GAPS_SHOWN else "")
        groups = " of groups" if is_complete and table.kind is not Kind.EVENT else ""
        return f"No. Not read: {shown}. Rows{groups} that were not read stay as they are."
    if is_complete or table.kind is Kind.EVENT:
        return _COMPLETE[table.kind]
    return (
        "Not sure: something that names such rows was not read, or a row could not be read. Rows that are no longer in "
        "Drillster's responses stay as they are."
    )


def _last_dates(table: Table, outcome: PublishOutcome, quality: LoadQuality) -> dg.MarkdownMetadataValue:
    """Rows on each of the last dates."""
    loads = [(load.export_date, load.rows) for load in reversed(_before(table, outcome, quality))]
    loads.append((outcome.export_date, rows_of(outcome.report.tables[table.name])))
    words = ", ".join(f"{day}: {rows:,}" for day, rows in loads)
    rows = [rows for _, rows in loads]
    return _picture(rows, loads[0][0], loads[-1][0], f"Rows, {words}")


def _figures(table: Table, quality: LoadQuality) -> dict[str, Any]:
    if table.name == "objective_evaluations" and quality.evaluated:
        return {"objectives_met_percentage": round(100 * quality.met / quality.evaluated, 1)}
    if table.name != "results" or not quality.proficiencies:
        return {}
    spread = [0] * 10
    for proficiency, count in quality.proficiencies.items():
        spread[min(proficiency // 10, 9)] += count
    average = sum(value * count for value, count in quality.proficiencies.items()) / sum(spread)
    words = ", ".join(f"from {10 * place}: {count:,}" for place, count in enumerate(spread))
    drawing = _picture(spread, "0", "100", f"Results by proficiency, {words}")
    return {"average_proficiency": round(average, 1), "spread_of_proficiency": drawing}


def _picture(values: Sequence[int], first: date | str, last: date | str, words: str) -> dg.MarkdownMetadataValue:
    ends = [f"{end.day} {end:%b}" if isinstance(end, date) else end for end in (first, last)]
    return dg.MetadataValue.md(picture(values, most=max(values), first=ends[0], last=ends[1], words=words))


def _sample_rows(table: Table, quality: LoadQuality) -> dict[str, Any]:
    from drillster_pipeline.warehouse.reads import preview_columns

    columns, rows = [column.name for column in preview_columns(table)], quality.sample_rows[table.name]
    if not rows or not columns:
        return {}
    records = [dg.TableRecord(dict(zip(columns, map(_cell, row), strict=True))) for row in rows]
    return {"sample_rows": dg.MetadataValue.table(records, dg.TableSchema(list(map(dg.TableColumn, columns))))}


def _cell(value: Any) -> Any:
    return (
        f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value) if isinstance(value, date) else value
    )
