"""What an operator reads after a step: metadata of assets, tags of the run, one line in the log.

Numbers, ids, dates and sentences; never a row, so that nothing personal gets into Dagster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.tables import Kind, Table

from .partitions import PARTITION, export_date
from .specs import resource_key, table_key

if TYPE_CHECKING:
    from drillster_pipeline.export import CaptureOutcome, PublishOutcome

HOLES_SHOWN = 10


def capture_sentence(kind: str, outcome: CaptureOutcome) -> str:
    """How a date came to its capture."""
    walk = outcome.capture.manifest["walk"]
    asked = f"{walk['requests']:,} requests, {walk['retries']:,} retries, {walk['seconds']:.1f} s"
    return (
        f"{kind} of {outcome.capture.ref.export_date}: {outcome.how}, capture {outcome.capture.capture_id} "
        f"({asked if outcome.asked else 'no request to Drillster'})"
    )


def tag_capture(context: dg.AssetExecutionContext, kind: str, outcome: CaptureOutcome) -> None:
    """Note on the run which capture it made or took."""
    _tag(context, {f"drillster/{kind}_capture": outcome.capture.capture_id})


def unavailable_resources(outcome: CaptureOutcome) -> Iterator[tuple[str, str]]:
    """The resources that a new capture could not read, and why."""
    if outcome.asked:
        for resource, entry in outcome.capture.manifest["resources"].items():
            if entry["status"] == "unavailable":
                yield resource, entry["why"]


def captured(resource: str, outcome: CaptureOutcome) -> dg.MaterializeResult[Any]:
    """The asset of a resource, after its capture."""
    manifest = outcome.capture.manifest
    entry, walk = manifest["resources"][resource], manifest["walk"]
    asked: dict[str, Any] = {
        "walk: requests": walk["requests"],
        "walk: retries": walk["retries"],
        "walk: tokens": walk["grants"],
        "walk: seconds": float(walk["seconds"]),
    }
    return dg.MaterializeResult(
        asset_key=resource_key(resource),
        metadata={
            "dagster/partition_row_count": entry["items"],
            "export date": str(outcome.capture.ref.export_date),
            "how": str(outcome.how),
            "status": entry["status"],
            "capture": outcome.capture.capture_id,
            "captured until": manifest["captured_until"],
            "answers": entry["units"],
            "pages": entry["pages"],
            "bytes": sum(part["bytes"] for part in entry["parts"]),
            **(asked if outcome.asked else {}),
        },
    )


def publish_sentence(outcome: PublishOutcome, seconds: float) -> str:
    """What a load did, all tables together."""
    reports = outcome.report.tables.values()
    return (
        f"{outcome.kind} of {outcome.export_date}: load {outcome.report.load_id} of {len(reports)} tables from capture "
        f"{outcome.capture.capture_id}, {seconds:.1f} s. "
        f"{sum(each.rows_inserted for each in reports):,} rows inserted, "
        f"{sum(each.rows_updated for each in reports):,} updated, "
        f"{sum(each.rows_deleted for each in reports):,} deleted, "
        f"{sum(each.rows_unchanged for each in reports):,} unchanged, "
        f"{sum(each.rows_rejected for each in reports):,} rejected"
    )


def tag_load(context: dg.AssetExecutionContext, outcome: PublishOutcome) -> None:
    """Note on the run which load it published."""
    _tag(context, {f"drillster/{outcome.kind}_load": outcome.report.load_id})


def published(table: Table, outcome: PublishOutcome, seconds: float) -> dg.MaterializeResult[Any]:
    """The asset of a table, after its load."""
    report = outcome.report.tables[table.name]
    return dg.MaterializeResult(
        asset_key=table_key(table.name),
        metadata={
            "dagster/partition_row_count": report.rows_inserted + report.rows_updated + report.rows_unchanged,
            "export date": str(outcome.export_date),
            "inserted": report.rows_inserted,
            "updated": report.rows_updated,
            "unchanged": report.rows_unchanged,
            "deleted": report.rows_deleted,
            "rejected": report.rows_rejected,
            "read": report.rows_read,
            **({} if report.history_rows is None else {"history rows written": report.history_rows}),
            "absent rows": _absent_rows(table, outcome),
            "load": outcome.report.load_id,
            "capture": outcome.capture.capture_id,
            "load: seconds": round(seconds, 3),
        },
    )


def _absent_rows(table: Table, outcome: PublishOutcome) -> str:
    """What the load made of rows that are no longer in Drillster's answers."""
    from drillster_pipeline.export.plans import holes_under

    if table.kind is Kind.EVENT:
        return "Events are never deleted"
    judged = outcome.judgement.tables[table.name]
    holes = holes_under(table, outcome.capture.manifest)
    if holes:
        shown = "; ".join(map(str, holes[:HOLES_SHOWN])) + ("; …" if len(holes) > HOLES_SHOWN else "")
        which = "Rows of groups that were not seen whole stay" if judged.is_complete else "All stay"
        return f"{which}, since not everything was seen: {shown}"
    if not judged.is_complete:
        return "All stay, since not everything was seen that names such rows, or a row could not be read"
    if table.kind is Kind.SNAPSHOT:
        return "Those of the date are replaced as a whole"
    return "Marked deleted: everything was seen"


def _tag(context: dg.AssetExecutionContext, tags: dict[str, str]) -> None:
    """Tags stand in the list of runs: only what tells runs apart, or what one searches by."""
    if PARTITION not in context.run.tags:  # a run of a backfill: the list does not show its date
        tags = {"drillster/export_date": str(export_date(context.run.tags)), **tags}
    context.instance.add_run_tags(context.run.run_id, tags)
